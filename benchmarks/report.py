"""Results as a table, as Markdown, as JSON; and which targets are met."""

import json
import os
import platform
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.measure import Plan, Row, reference
from benchmarks.workloads import EVENTS, WORKLOADS, Workload

Results = dict[str, list[Row]]  # by the workload's name

# Requests/s of the chat workload, as multiples of a peer's in the same run.
AT_LEAST: Final = {"litellm": 100.0, "portkey": 8.0}


@dataclass(frozen=True, slots=True)
class Target:
    text: str
    limit: float
    measured: float | None
    is_met: bool | None  # None: not measured

    def __str__(self) -> str:
        if self.measured is None:
            return f"- not measured: {self.text}"
        return f"- {'met' if self.is_met else '**missed**'}: {self.text}: {self.measured:.2f}"


def targets(results: Results) -> Iterator[Target]:
    for workload in WORKLOADS:
        if (limit := workload.at_most_nginx) is not None:
            ours, nginx = (_measured(results, workload.name, who) for who in ("tollhouse", "nginx"))
            ratio = ours.cpu_ratio_to(nginx) if ours and nginx else None
            text = f"{workload.name}: CPU per request at most {limit:g} x nginx"
            yield Target(text, limit, ratio, None if ratio is None else ratio <= limit)
        if (limit := workload.event_us) is not None:
            measured = _measured(results, workload.name, "tollhouse")
            event = measured.cpu_us / EVENTS if measured else None
            text = f"{workload.name}: CPU per event at most {limit:g} µs"
            yield Target(text, limit, event, None if event is None else event <= limit)
    for peer, least in AT_LEAST.items():
        ours, theirs = (_measured(results, "chat", who) for who in ("tollhouse", peer))
        factor = ours.requests_per_second / theirs.requests_per_second if ours and theirs else None
        text = f"chat: requests/s at least {least:g} x {peer}"
        yield Target(text, least, factor, None if factor is None else factor >= least)


def table(workload: Workload, rows: Sequence[Row]) -> str:
    """Markdown, columns padded so that it also reads well in a terminal."""
    what = "stream" if workload.streamed else "request"
    head = ["", f"{what}s/s", f"CPU µs/{what}", "lowest to highest", "x nginx", "p50 ms", "p99 ms"]
    head += ["first event p50 ms", "p99 ms", "CPU µs/event"] if workload.streamed else []
    head += ["core busy", "others", "memory MB", "errors"]
    nginx = reference(rows)
    lines = grid(head, [_cells(row, nginx, streamed=workload.streamed) for row in rows if row.slices])
    marked = [f"- {row.title}: {row.errors} errors, so its figures mean little" for row in rows if row.errors]
    missing = [f"- {row.title}: not available: {row.reason}" for row in rows if row.reason]
    return "\n".join([lines, *([""] if marked or missing else []), *marked, *missing])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column stand to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    ruler = [f"{'-' * (width + 1)}{':' if at else '-'}" for at, width in enumerate(widths)]
    lines = [
        " | ".join(f"{cell:{'>' if at else '<'}{widths[at]}}" for at, cell in enumerate(row))
        for row in (head, *rows)
    ]
    return "\n".join([f"| {lines[0]} |", f"|{'|'.join(ruler)}|", *(f"| {line} |" for line in lines[1:])])


def markdown(results: Results, plan: Plan, command: str, *, picture: str) -> str:
    parts = ["# Benchmark results", ""]
    parts += [f"- {name}: {value}" for name, value in machine().items()]
    parts += [f"- command: `{command}`", f"- {plan.cores}", f"- {describe(plan)}"]
    parts += ["", "How to read this: [README](../README.md).", "", f"![CPU per request]({picture})"]
    parts += ["", "## Targets", "", *map(str, targets(results))]
    for workload in WORKLOADS:
        if workload.name in results:
            parts += ["", f"## {workload.title}", "", table(workload, results[workload.name])]
    return "\n".join(parts) + "\n"


def as_json(results: Results, plan: Plan, command: str) -> str:
    document = {
        "machine": machine(),
        "command": command,
        "plan": asdict(plan),
        "targets": [asdict(target) for target in targets(results)],
        "results": {name: [_medians(row) | asdict(row) for row in rows] for name, rows in results.items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def describe(plan: Plan) -> str:
    return (
        f"{plan.connections} connections, {plan.repeat} turns of {plan.seconds} s each in rounds, medians; "
        f"a stream comes in {plan.stream_writes} writes {plan.stream_pause_ms:g} ms apart"
    )


def machine() -> dict[str, str]:
    cpus = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} x {cpus[0] if cpus else platform.machine()}, {memory:.0f} GiB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "python": f"{platform.python_version()}, {_build()}",
    }


def _build() -> str:
    """How the interpreter was built: Tollhouse runs by it too, and pays for one that is not optimised."""
    options = shlex.split(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if "--enable-optimizations" in options:
        kind = "optimised"
    elif sys.base_prefix == "/usr":
        kind = "as the distribution builds it"  # with profiles, in Debian, though no option tells so
    else:
        kind = "NOT optimised"
    return f"{kind} ({platform.python_compiler()})"


def _measured(results: Results, workload: str, contender: str) -> Row | None:
    rows = results.get(workload, [])
    return next((row for row in rows if row.contender == contender and row.slices), None)


def _medians(row: Row) -> dict[str, float]:
    return {"cpu_us": row.cpu_us, "requests_per_second": row.requests_per_second} if row.slices else {}


def _cells(row: Row, nginx: Row | None, *, streamed: bool) -> list[str]:
    cpus = [each.cpu_us for each in row.slices]
    cells = [
        f"{row.title} {row.version}".strip(),
        number(row.requests_per_second),
        number(row.cpu_us),
        f"{number(min(cpus))} to {number(max(cpus))}",
        f"{row.cpu_ratio_to(nginx):.2f}" if nginx else "-",
    ]
    times = ("p50_ms", "p99_ms", "first_p50_ms", "first_p99_ms")[: 4 if streamed else 2]
    cells += [f"{median(getattr(each.load, name) for each in row.slices):.2f}" for name in times]
    cells += [number(row.cpu_us / EVENTS)] if streamed else []
    return [
        *cells,
        f"{median(each.busy for each in row.slices):.0%}",
        f"{median(each.others for each in row.slices):.0%}",
        f"{max(each.memory_mb for each in row.slices):.0f}",
        f"**{row.errors}**" if row.errors else "0",
    ]


def number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
