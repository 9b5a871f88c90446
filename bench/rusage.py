"""Run a command and write its peak resident memory in KiB to a file: `rusage.py FILE COMMAND…`.

Run it as a small process of its own (no site-packages): a child begins with its parent's peak, because the kernel keeps ru_maxrss over
exec.
"""

import os
import resource
import subprocess
import sys


def main() -> int:
    file, *command = sys.argv[1:]
    code = subprocess.call(command)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    kib = peak // 1024 if sys.platform == "darwin" else peak  # bytes there, KiB elsewhere
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(str(kib))
    return code


if __name__ == "__main__":
    sys.exit(main())
