"""CPU per request as bars on a logarithmic scale, one panel a workload: an SVG without a library."""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from benchmarks.measure import Row, reference
from benchmarks.workloads import WORKLOADS, Workload

WIDTH: Final = 900
LEFT: Final = 200  # where bars begin
RIGHT: Final = 730  # where the longest could end; figures stand behind a bar
BAR: Final = 22
STEP: Final = 30  # from bar to bar
TITLE: Final = 92  # height of the chart's own head
HEAD: Final = 40  # of a panel
FOOT: Final = 44  # of a panel: the axis and air
COLOURS: Final = {"tollhouse": "#d9480f", "nginx": "#3f5f86"}
OTHERS: Final = "#a9b8cb"
STYLE: Final = """\
text { font: 13px system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; fill: #1f2933 }
.title { font-size: 20px; font-weight: 600 } .panel { font-size: 15px; font-weight: 600 }
.quiet { fill: #66788a } .axis { font-size: 11px; fill: #66788a; text-anchor: middle }
.name { text-anchor: end } .figure { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
.ours { font-weight: 700 } line { stroke: #e3e8ee }"""
SUBTITLE: Final = (
    "User and system time, logarithmic scale, shorter is better. In brackets: times nginx in the same run;",
    "nginx and Envoy only pass the bytes on, whatever the others do with them.",
)
UNITS: Final = ((1.0, "µs"), (1e3, "ms"), (1e6, "s"))

Bounds = tuple[int, int]  # powers of ten


def draw(results: dict[str, list[Row]]) -> str:
    panels = [(each, results[each.name]) for each in WORKLOADS if each.name in results]
    bounds = _bounds([row.cpu_us for _, rows in panels for row in rows if row.slices])
    parts = [
        _text(28, 38, "CPU per request", "title"),
        *(_text(28, 60 + 18 * at, line, "quiet") for at, line in enumerate(SUBTITLE)),
    ]
    top = TITLE
    for workload, rows in panels:
        parts += _panel(workload, rows, top, bounds)
        top += HEAD + len(rows) * STEP + FOOT
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>'
    ground = f'<rect width="{WIDTH}" height="{top}" rx="10" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>\n"])


def _panel(workload: Workload, rows: Sequence[Row], top: int, bounds: Bounds) -> Iterator[str]:
    yield _text(28, top + 26, workload.title, "panel")
    first, foot = top + HEAD, top + HEAD + len(rows) * STEP
    for power in range(bounds[0], bounds[1] + 1):
        x = _x(10.0**power, bounds)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{first}" y2="{foot}"/>'
        yield _text(x, foot + 16, _duration(10.0**power), "axis")
    nginx = reference(rows)
    for number, row in enumerate(sorted(rows, key=lambda row: row.cpu_us if row.slices else float("inf"))):
        yield from _bar(row, nginx, first + number * STEP, bounds)


def _bar(row: Row, nginx: Row | None, top: int, bounds: Bounds) -> Iterator[str]:
    weight = " ours" if row.contender == "tollhouse" else ""
    yield _text(LEFT - 12, top + 16, row.title, f"name{weight}")
    if not row.slices:
        yield _text(LEFT + 8, top + 16, "not available", "quiet")
        return
    end = _x(row.cpu_us, bounds)
    colour = COLOURS.get(row.contender, OTHERS)
    yield f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}" rx="3" fill="{colour}"/>'
    ratio = f" ({_short(row.cpu_ratio_to(nginx))} x)" if nginx and row is not nginx else ""
    errors = f", {row.errors:,} errors" if row.errors else ""
    yield _text(end + 8, top + 16, _duration(row.cpu_us) + ratio + errors, f"figure{weight}")


def _bounds(values: Sequence[float]) -> Bounds:
    if not values:
        return 0, 1
    low = floor(log10(min(values)))
    return low, max(ceil(log10(max(values))), low + 1)


def _x(value: float, bounds: Bounds) -> float:
    share = (log10(value) - bounds[0]) / (bounds[1] - bounds[0])
    return LEFT + share * (RIGHT - LEFT)


def _duration(us: float) -> str:
    scale, unit = next((each for each in UNITS if us < 999.5 * each[0]), UNITS[-1])
    return f"{_short(us / scale)} {unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}">{escape(text)}</text>'
