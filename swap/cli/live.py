"""Views that a terminal draws again and again: the bars of a command at work, the lines of `status --watch`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from swap.cli.output import HANGING, for_people, wrapped
from swap.cli.progress import Meter, metered
from swap.cli.terminal import console

BAR_COLUMNS, LEAST_BAR = 30, 8


class Bar(BarColumn):
    """A bar where a total is known. rich's own colours are red for work that goes on, and it moves for ever without a total."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        return super().render(task) if task.total else Text("")


class Bars(Progress):
    """One line for each part: its name, a bar, what is said of it. Where the screen has no room for that, lines without a bar, cut between
    words. The bars shrink and do not come back: a view that jumps with each number cannot be read."""

    def __init__(self, *columns: ProgressColumn, screen: Console) -> None:
        self._screen, self.room = screen, BAR_COLUMNS
        super().__init__(*columns, console=screen, transient=False, redirect_stdout=False, redirect_stderr=False)

    def get_renderables(self) -> Iterable[RenderableType]:
        there = [t for t in self.tasks if t.visible]
        names = max((len(t.description) for t in there), default=0)
        said = max((len(t.fields["said"]) for t in there), default=0)
        self.room = min(self.room, self._screen.width - names - said - 2)
        if self.room >= LEAST_BAR:
            for column in self.columns:
                if isinstance(column, Bar):
                    column.bar_width = self.room
            yield self.make_tasks_table(self.tasks)
            return
        for t in there:
            yield Text("\n".join(wrapped(f"{t.description}: {t.fields['said']}", self._screen.width - 1, HANGING)))


class LiveReporter:
    """Progress bars on a terminal, drawn from the first part that moves on: bars are drawn again ten times a second, over
    whatever stands in their line, and a question stood there. Nothing is redirected: rich would take stdout along to stderr,
    and with it the document of `swap status --json | jq`."""

    def __init__(self) -> None:
        self.progress_bars = Bars(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),  # a long reason wraps, the name stays
            Bar(bar_width=BAR_COLUMNS, complete_style="cyan", finished_style="green"),
            TextColumn("{task.fields[said]}"),
            screen=console(stderr=True, soft_wrap=False),
        )
        self.lock = threading.Lock()
        self.meters: dict[str, Meter] = {}
        self.tasks: dict[str, TaskID] = {}
        self.wait_task: TaskID | None = None

    def note(self, message: str) -> None:
        screen = self.progress_bars.console
        screen.print(Text("\n".join(wrapped(for_people(message), screen.width, HANGING))))

    def warning(self, message: str) -> None:
        self.note(f"warning: {message}")

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        now = time.monotonic()
        with self.lock:
            meter = metered(self.meters, part, done, now)
            meter.total, meter.unit = total, unit
            task = self.tasks.get(part)
            if task is None:
                self.progress_bars.start()
                task = self.tasks[part] = self.progress_bars.add_task(for_people(part), total=None, said="")
            said = for_people(meter.line(part, now).removeprefix(f"{part}: "))
            known = max(total, done) if total else None
            self.progress_bars.update(task, completed=done if known else 0, total=known, said=said)

    def waiting(self, reason: str) -> None:
        self._still("waiting", reason)

    def _still(self, label: str, text: str) -> None:
        with self.lock:
            if self.wait_task is None:
                if not text:
                    return
                self.progress_bars.start()
                self.wait_task = self.progress_bars.add_task(label, total=None, said="")
            self.progress_bars.update(self.wait_task, description=label, said=for_people(text), visible=bool(text))

    def working(self, what: str) -> None:
        self._still("at work", what)

    def close(self) -> None:
        self.progress_bars.stop()


@contextmanager
def drawn() -> Iterator[Callable[[list[str]], None]]:
    """Yield a function that shows lines in place of the lines before."""
    with Live(console=console(), refresh_per_second=2) as live:
        yield lambda lines: live.update(Text(for_people("\n".join(lines))))  # Text: a name may look like rich's markup
