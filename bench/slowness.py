"""How much slower the machine is than it could be, several times a second: a loop of a fixed length in a process of its own, and how long
it took over the processor time that it got. A shared machine gives a measurement less of itself in one minute than in the next.

As a program it writes lines to a file, until its stdin is closed."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

LOOP_S, EVERY_S = 0.02, 0.2


@dataclass(frozen=True)
class Slowness:
    """`file`: (when, slowness) a line."""

    file: Path

    def between(self, began: float, ended: float) -> float:
        """The mean slowness in that time, in seconds since the epoch; at least 1."""
        pairs = (line.split() for line in self.file.read_text().splitlines())
        found = [float(slow) for at, slow in (p for p in pairs if len(p) == 2) if began <= float(at) <= ended]
        return max(1.0, mean(found)) if found else 1.0


@contextmanager
def measuring(file: Path) -> Iterator[Slowness]:
    """During the block."""
    child = subprocess.Popen([sys.executable, "-m", "bench.slowness", str(file)], stdin=subprocess.PIPE)
    try:
        yield Slowness(file)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()


def main() -> None:
    with Path(sys.argv[1]).open("w", buffering=1) as out:
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            wall, processor = time.perf_counter(), time.process_time()
            while time.process_time() - processor < LOOP_S:
                pass
            out.write(f"{time.time():.3f} {(time.perf_counter() - wall) / (time.process_time() - processor):.3f}\n")


if __name__ == "__main__":
    main()
