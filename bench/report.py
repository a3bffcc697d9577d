"""The table as Markdown, and two plots as SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios import Bench, Line

BEGIN, END = "<!-- benchmark: written by `make bench ARGS=--write` -->", "<!-- end of benchmark -->"
COLOURS = {"relay": "#9a9a9a", "connector": "#03363d"}
STYLE = "font-family='Helvetica,Arial,sans-serif' font-size='12'"


def table(lines: Iterable[Line], title: str) -> str:
    """The lines as a Markdown table."""
    rows = [f"| {title} | relay | connector |", "|---|---:|---:|"]
    return "\n".join([*rows, *(f"| {line.what} | {line.relay} | {line.connector} |" for line in lines)])


def write(root: Path, bench: Bench, title: str) -> None:
    """Puts the table into the README, and the plots beside this file."""
    readme = root / "README.md"
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*({re.escape(END)})", re.DOTALL)
    new = table(bench.lines, title)
    readme.write_text(pattern.sub(lambda found: f"{found[1]}\n{new}\n\n{found[2]}", readme.read_text()))
    if bench.latencies:
        (root / "bench" / "latency.svg").write_text(latency_plot(bench))
    if bench.calls:
        (root / "bench" / "calls.svg").write_text(calls_plot(bench))


def latency_plot(bench: Bench) -> str:
    """Event to message at 50 ms a call, by percentile."""
    groups = {
        f"{outstanding} outstanding, {name}": {
            runner: bench.latencies[f"{runner} 50 {outstanding}"].to_message[name] for runner in COLOURS
        }
        for outstanding in (1, 20, 50)
        for name in ("p50", "p95", "p99")
        if f"relay 50 {outstanding}" in bench.latencies
    }
    return bars("Event to message at 50 ms a call, in milliseconds", groups, "{:,.0f}")


def calls_plot(bench: Bench) -> str:
    """Calls a notification."""
    kinds = {"alone": "alone", "100": "burst of 100", "1000": "burst of 1,000"}
    groups: dict[str, dict[str, float]] = {}
    for kind, words in kinds.items():
        if f"relay {kind}" in bench.calls:
            found = {runner: bench.calls[f"{runner} {kind}"] for runner in COLOURS}
            groups[f"Zendesk, {words}"] = {runner: each.zendesk_calls for runner, each in found.items()}
            groups[f"Slack, {words}"] = {runner: each.slack_calls for runner, each in found.items()}
    return bars("Calls a notification", groups, "{:.3g}")


def bars(title: str, groups: Mapping[str, Mapping[str, float]], form: str) -> str:
    """Lying bars, a pair for each group."""
    width, left, height = 720, 190, 44
    most = max((value for group in groups.values() for value in group.values()), default=1.0) or 1.0
    scale = (width - left - 70) / most
    total = 60 + height * len(groups)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {total}' width='{width}' {STYLE}>",
        f"<rect width='{width}' height='{total}' fill='#ffffff'/>",
        f"<text x='12' y='22' font-size='14' font-weight='bold'>{escape(title)}</text>",
    ]
    for place, (name, colour) in enumerate(COLOURS.items()):
        x = left + place * 110
        parts.append(f"<rect x='{x}' y='32' width='10' height='10' fill='{colour}'/>")
        parts.append(f"<text x='{x + 16}' y='41'>{name}</text>")
    for place, (name, values) in enumerate(groups.items()):
        top = 56 + place * height
        parts.append(f"<text x='{left - 10}' y='{top + 19}' text-anchor='end'>{escape(name)}</text>")
        for row, (runner, colour) in enumerate(COLOURS.items()):
            value, y = values[runner], top + row * 16
            long = max(value * scale, 1.0)
            parts.append(f"<rect x='{left}' y='{y}' width='{long:.1f}' height='13' fill='{colour}'/>")
            parts.append(f"<text x='{left + long + 6:.1f}' y='{y + 11}'>{form.format(value)}</text>")
    return "\n".join([*parts, "</svg>", ""])
