"""The plots of a report, as inline SVG: colours are those of the page, light or dark, and no script is left in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

WIDTH, HEIGHT = 900, 300
BINS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
STYLE = Style(
    background="transparent", plot_background="transparent", foreground="var(--fg)", foreground_strong="var(--fg)",
    foreground_subtle="var(--line)", opacity=".85", opacity_hover="1", font_family="inherit", label_font_size=13, major_label_font_size=13,
    legend_font_size=14, title_font_size=15, colors=("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"),
)  # fmt: skip
COMMON: dict[str, Any] = {
    "style": STYLE, "js": (), "width": WIDTH, "height": HEIGHT, "legend_at_bottom": True, "show_y_guides": True, "print_values": False,
}  # fmt: skip


def _svg(chart: Any) -> str:
    """The chart as an element for a page. The library adds a script for tooltips: it goes, and so do its comments."""
    root = chart.render_tree()
    for parent in root.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
    root.set("role", "img")
    return str(etree.tostring(root, encoding="unicode"))


def timeline(steps: Sequence[Mapping[str, Any]]) -> str:
    chart = pygal.HorizontalStackedBar(
        **{**COMMON, "height": 60 + 30 * len(steps)}, title="The cycle, in seconds", show_legend=False
    )
    chart.x_labels = [s["command"] for s in reversed(steps)]
    chart.add("", [{"value": s["began_s"], "style": "fill: none; stroke: none"} for s in reversed(steps)])
    chart.add("seconds", [s["seconds"] for s in reversed(steps)])
    return _svg(chart)


def latency(points: Sequence[Sequence[float]], steps: Sequence[Mapping[str, Any]]) -> str:
    chart = pygal.XY(**COMMON, title="Writers' latency, in ms, by seconds", dots_size=1.5, stroke=False)
    chart.add("a write", [tuple(p) for p in points])
    highest = max((p[1] for p in points), default=1.0)
    for s in steps:
        if "locked_ms" in s["facts"]:
            end = s["began_s"] + s["seconds"]
            line = [(s["began_s"], 0), (s["began_s"], highest), (end, highest), (end, 0)]
            chart.add(f"{s['command'].split(' ')[0]}", line, stroke=True, show_dots=False)
    return _svg(chart)


def holds(holds_ms: Sequence[float]) -> str:
    chart = pygal.Bar(**COMMON, title="Locks that block writers: how often held how long", show_legend=False)
    bins = Counter(next((b for b in BINS_MS if ms <= b), "more") for ms in holds_ms)
    names = [b for b in (*BINS_MS, "more") if b in bins]
    chart.x_labels = [f"≤ {b} ms" if b != "more" else f"> {BINS_MS[-1]} ms" for b in names]
    chart.add("locks", [bins[b] for b in names])
    return _svg(chart)


def line(title: str, name: str, points: Sequence[Sequence[float]]) -> str:
    chart = pygal.XY(**COMMON, title=title, show_dots=False, fill=True, show_legend=False, include_x_axis=True)
    chart.add(name, [tuple(p) for p in points])
    return _svg(chart)


def copied(chunks: Sequence[Sequence[float]]) -> str:
    """Rows of the backfill, added up."""
    total, points = 0.0, []
    for at, rows in chunks:
        total += rows
        points.append((at, total))
    return line("Rows copied, by seconds", "rows", points)


def all_plots(document: Mapping[str, Any]) -> dict[str, str]:
    """The plots that the document has data for, by name."""
    samples, load = document.get("samples") or {}, document.get("load") or {}
    out = {"timeline": timeline(document["steps"])} if document["steps"] else {}
    if load.get("points"):
        out["latency"] = latency(load["points"], document["steps"])
    if samples.get("holds_ms"):
        out["holds"] = holds(samples["holds_ms"])
    if len(samples.get("copied", ())) > 1:
        out["copied"] = copied(samples["copied"])
    if any(n for _, n in samples.get("backlog", ())):
        out["backlog"] = line("Changes that wait for replay, by seconds", "changes", samples["backlog"])
    return out
