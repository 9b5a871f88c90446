"""Make a virtual environment with exactly the versions of a lock: `python -m tools.environment DIRECTORY LOCK`.

The standard library alone: it runs before anything is installed. Nothing is built, so no compiler and no build tool is needed. A
machine without a network gets one line, not pip's retries.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

STAMP = "installed"
# One retry: by default pip tries six times for each package, which takes a minute and a half.
INSTALL = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "15"]
INSTALL += ["--require-hashes", "--only-binary", ":all:", "--no-compile"]
UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Max retries exceeded|Retrying \("
    r"|Temporary failure in name resolution|Network is unreachable|Connection refused"
)


def make(directory: Path, lock: Path) -> None:
    """Make it anew, and mark it when it is whole. Raises RuntimeError, of one line."""
    venv.create(directory, clear=True)
    python = directory / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        # No pip here, or one before 22.3: the environment gets its own, which takes 5 s and 25 MB more.
        try:
            venv.create(directory, clear=True, with_pip=True)
        except subprocess.CalledProcessError:
            raise RuntimeError(f"{sys.executable} has neither pip nor ensurepip: install them (Debian: python3-venv).") from None
        pip = [str(python), "-m", "pip"]
    done = subprocess.run([*pip, *INSTALL, "-r", lock], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(explain(done.stdout + done.stderr, lock))
    (directory / STAMP).touch()


def explain(said: str, lock: Path) -> str:
    """What kept pip from its work, in one line."""
    if UNREACHABLE.search(said):
        return f"no network: pip cannot reach the package index for {lock}. Connect, and run the same command again."
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()[-1:] or ["pip said nothing"]
    return f"pip could not install {lock}: {errors[0].removeprefix('ERROR: ')}"


def main(args: list[str]) -> int:
    directory, lock = map(Path, args)
    try:
        make(directory, lock)
    except (RuntimeError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
