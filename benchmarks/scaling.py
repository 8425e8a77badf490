"""`python -m benchmarks.scaling`: does size cost, and does time?

Tollhouse with few and many routes and consumers: how long until it serves, its memory, and the CPU of a
request to a random route with a random key. Then a long run at the largest: does its memory stay flat?
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

from benchmarks import load, report
from benchmarks.contenders.contender import Site
from benchmarks.contenders.tollhouse import Tollhouse, tollhouse
from benchmarks.measure import Meter, Plan, Slice, Upstream, fake_upstream, verify
from benchmarks.options import RESULTS
from benchmarks.process import Cores, Server, free_ports
from benchmarks.tools import NotAvailable
from benchmarks.workloads import WORKLOADS, Request

FEW: Final = 10
LOAD_SECONDS_AT_MOST: Final = 10.0
CPU_AT_MOST: Final = 1.15  # of the smallest: a larger table meets colder CPU caches
GROWTH_AT_MOST: Final = 1.05  # from the first fifth of the long run to its end
BARE: Final = WORKLOADS[0]


@dataclass(frozen=True, slots=True)
class Size:
    routes: int
    consumers: int

    def __str__(self) -> str:
        return f"{self.routes:,} routes, {self.consumers:,} consumers"

    def config(self, upstream_url: str) -> Iterator[str]:
        yield f'_format_version: "3.0"\nservices:\n- name: bench\n  url: {upstream_url}\n'
        yield "  plugins:\n  - name: key-auth\n  routes:\n"
        yield from (f"  - name: route-{n}\n    paths:\n    - /route-{n}\n" for n in range(self.routes))
        yield "consumers:\n"
        for n in range(self.consumers):
            yield f"- username: consumer-{n}\n  keyauth_credentials:\n  - key: key-{n}\n"

    def last_request(self) -> Request:
        key, path = f"key-{self.consumers - 1}", f"/route-{self.routes - 1}"
        return Request(BARE.body(), path, {"apikey": key})


class Node:
    """Tollhouse at one size, serving, with what was measured of it."""

    def __init__(self, size: Size, home: Path, upstream: Upstream, plan: Plan, stack: ExitStack) -> None:
        self.size, self._upstream, self._plan = size, upstream.server, plan
        folder = home / f"{size.routes}-{size.consumers}"
        folder.mkdir()
        self._port, second_port = free_ports(2)
        site = Site(folder, self._port, second_port, upstream.port, BARE)
        config = site.write("kong.yml", "".join(size.config(site.upstream_url)))
        launch = tollhouse(str(config), site)
        began = monotonic()
        server = Server(launch.argv, core=plan.cores.server, log=folder / "log.txt", env=launch.env)
        self._server = stack.enter_context(server)
        self._server.wait_until_ready(self._port, launch.ready_urls)
        verify(self._port, size.last_request(), BARE)
        self.load_seconds = monotonic() - began
        self.loaded_mb = self._server.memory_mb()
        self.slices: list[Slice] = []

    def take_turn(self) -> Slice:
        effort = load.Effort(self._plan.connections, self._plan.seconds, self._plan.cores.load)
        arguments = (BARE.body().decode(), str(self.size.routes), str(self.size.consumers))
        meter = Meter(self._server, self._upstream)
        done = load.wrk("spread.lua", self._port, "/", arguments, effort)
        cpu_seconds, others = meter.read()
        if not done.requests:
            raise NotAvailable(f"no request succeeded, {done.errors} errors")
        return Slice(done, cpu_seconds, self._server.memory_mb(), others)

    def long_run(self, requests: int) -> Iterator[Slice]:
        while requests > 0:
            turn = self.take_turn()
            requests -= turn.load.requests
            yield turn

    def cpu_ratio_to(self, other: "Node") -> float:
        pairs = zip(self.slices, other.slices, strict=True)
        return median(mine.cpu_us / theirs.cpu_us for mine, theirs in pairs)

    def cells(self, smallest: "Node") -> list[str]:
        errors = sum(each.load.errors for each in self.slices)
        return [
            str(self.size),
            f"{self.load_seconds:.1f}",
            f"{self.loaded_mb:.0f}",
            report.number(median(each.cpu_us for each in self.slices)),
            f"{self.cpu_ratio_to(smallest):.2f}",
            f"{median(each.load.p99_ms for each in self.slices):.2f}",
            f"{median(each.others for each in self.slices):.0%}",
            f"**{errors}**" if errors else "0",
        ]


HEAD: Final = ("", "ready after s", "memory MB", "CPU µs/request", "x smallest", "p99 ms", "others", "errors")


def main() -> int:
    chosen = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    Tollhouse().install()
    plan = Plan(chosen.duration, 0, 32, chosen.repeat, 1, 0.0, Cores.of_this_machine())
    few, many = Size(FEW, FEW), Size(chosen.routes, chosen.consumers)
    sizes = (few, Size(many.routes, FEW), Size(FEW, many.consumers), many)
    with ExitStack() as stack, TemporaryDirectory(prefix="tollhouse-bench-") as home:
        upstream = stack.enter_context(fake_upstream(BARE, plan, Path(home)))
        nodes = [Node(size, Path(home), upstream, plan, stack) for size in sizes]
        for _ in range(plan.repeat):
            for node in nodes:
                node.slices.append(node.take_turn())
        long_run = list(nodes[-1].long_run(chosen.requests))
    targets = list(_targets(nodes, long_run))
    text = "\n".join(_lines(nodes, long_run, targets)) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scaling.md").write_text(f"# Scaling\n\n{text}")
    (RESULTS / "scaling.json").write_text(_as_json(nodes, long_run, targets))
    return 1 if chosen.check and any(target.is_met is False for target in targets) else 0


def _targets(nodes: Sequence[Node], long_run: Sequence[Slice]) -> Iterator[report.Target]:
    smallest, largest = nodes[0], nodes[-1]
    ratio = largest.cpu_ratio_to(smallest)
    text = f"CPU per request at {largest.size} at most {CPU_AT_MOST:g} x that at {smallest.size}"
    yield report.Target(text, CPU_AT_MOST, ratio, ratio <= CPU_AT_MOST)
    seconds = largest.load_seconds
    text = f"{largest.size} serve within {LOAD_SECONDS_AT_MOST:g} s"
    yield report.Target(text, LOAD_SECONDS_AT_MOST, seconds, seconds <= LOAD_SECONDS_AT_MOST)
    growth = long_run[-1].memory_mb / long_run[len(long_run) // 5].memory_mb
    text = f"memory after the long run at most {GROWTH_AT_MOST:g} x that after its first fifth"
    yield report.Target(text, GROWTH_AT_MOST, growth, growth <= GROWTH_AT_MOST)


def _lines(
    nodes: Sequence[Node], long_run: Sequence[Slice], targets: Sequence[report.Target]
) -> Iterator[str]:
    yield from (f"- {name}: {value}" for name, value in report.machine().items())
    yield ""
    yield report.grid(HEAD, [node.cells(nodes[0]) for node in nodes])
    yield ""
    requests = sum(turn.load.requests for turn in long_run)
    memory = ", ".join(f"{turn.memory_mb:.1f}" for turn in long_run)
    yield f"Memory in MB over {requests:,} requests at {nodes[-1].size}: {memory}."
    yield ""
    yield from map(str, targets)


def _as_json(nodes: Sequence[Node], long_run: Sequence[Slice], targets: Sequence[report.Target]) -> str:
    def plain(node: Node) -> dict[str, object]:
        measured = {"load_seconds": node.load_seconds, "loaded_mb": node.loaded_mb}
        return asdict(node.size) | measured | {"slices": [asdict(each) for each in node.slices]}

    document = {
        "machine": report.machine(),
        "nodes": [plain(node) for node in nodes],
        "long_run": [asdict(turn) for turn in long_run],
        "targets": [asdict(target) for target in targets],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Does size cost?")
    add = parser.add_argument
    add("--routes", type=int, default=10_000, help="of the large node (10000)")
    add("--consumers", type=int, default=100_000, help="of the large node (100000)")
    add("--requests", type=int, default=1_000_000, help="of the long run (1000000)")
    add("--duration", type=int, default=5, metavar="SECONDS", help="of each turn (5)")
    add("--repeat", type=int, default=3, metavar="TURNS", help="of each node; medians are reported (3)")
    add("--check", action="store_true", help="fail when a target is missed")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotAvailable as reason:
        sys.exit(f"cannot measure: {reason}")
