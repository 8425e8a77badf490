"""Run one workload through several contenders, turn and turn about, so that noise hits all alike."""

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import load
from benchmarks.contenders.contender import Contender, Site
from benchmarks.contenders.nginx import fake_model
from benchmarks.process import Cores, Server, free_ports, machine_cpu_seconds
from benchmarks.tools import ROOT, NotAvailable
from benchmarks.workloads import Request, Workload

VERIFY_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    seconds: int
    warm_up_seconds: int
    connections: int
    repeat: int
    stream_writes: int
    stream_pause_ms: float
    cores: Cores


@dataclass(frozen=True, slots=True)
class Slice:
    """One turn of one contender."""

    load: load.Load
    cpu_seconds: float
    memory_mb: float
    others: float  # share of the machine that neither server, load nor upstream used: noise

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / max(self.load.requests, 1) * 1e6

    @property
    def requests_per_second(self) -> float:
        return self.load.requests / self.load.seconds

    @property
    def busy(self) -> float:
        """Share of a core: below about 0.9 the server waited for the load, and could do more requests/s."""
        return self.cpu_seconds / self.load.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """All turns of one contender at one workload, or the reason why there are none."""

    contender: str
    title: str
    version: str
    slices: tuple[Slice, ...] = ()
    reason: str = ""

    @property
    def errors(self) -> int:
        return sum(each.load.errors for each in self.slices)

    @property
    def cpu_us(self) -> float:
        return median(each.cpu_us for each in self.slices)

    @property
    def requests_per_second(self) -> float:
        return median(each.requests_per_second for each in self.slices)

    def cpu_ratio_to(self, reference: "Row") -> float:
        """The median of the rounds' own ratios: both turns of a round saw about the same noise."""
        pairs = zip(self.slices, reference.slices, strict=False)
        return median(mine.cpu_us / other.cpu_us for mine, other in pairs)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The fake model server."""

    server: Server
    port: int


class Meter:
    """CPU time of the server under test, and of everything that has no part in the run."""

    def __init__(self, server: Server, upstream: Server) -> None:
        self._server, self._upstream = server, upstream
        self._started, self._before = time.monotonic(), self._read()

    def read(self) -> tuple[float, float]:
        """CPU seconds of the server; share of the machine used by others."""
        server, ours, all_of_it = (now - then for now, then in zip(self._read(), self._before, strict=True))
        capacity = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return server, max(0.0, all_of_it - server - ours) / capacity

    def _read(self) -> tuple[float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        load = time.process_time() + children.ru_utime + children.ru_stime
        return self._server.cpu_seconds(), self._upstream.cpu_seconds() + load, machine_cpu_seconds()


class Entry:
    """One contender at one workload: running, with its turns so far; or the reason why not."""

    def __init__(self, contender: Contender, workload: Workload) -> None:
        self._contender, self._workload = contender, workload
        self._slices: list[Slice] = []
        self.reason = contender.reason

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Whoever cannot go on is out, and the others go on."""
        try:
            yield
        except NotAvailable as reason:
            self.reason = str(reason)

    def start(self, home: Path, upstream: Upstream, plan: Plan, stack: ExitStack) -> None:
        self._upstream = upstream.server
        folder = home / self._contender.name
        folder.mkdir()
        port, second_port = free_ports(2)
        launch = self._contender.launch(Site(folder, port, second_port, upstream.port, self._workload))
        self._request = launch.request
        server = Server(launch.argv, core=plan.cores.server, log=folder / "log.txt", env=launch.env)
        self._server = stack.enter_context(server)
        self._port = server.wait_until_ready(launch.port_file or port, launch.ready_urls)
        verify(self._port, self._request, self._workload)

    def take_turn(self, plan: Plan, seconds: int) -> None:
        put = load.stream if self._workload.streamed else load.post
        effort = load.Effort(plan.connections, seconds, plan.cores.load)
        meter = Meter(self._server, self._upstream)
        done = put(self._port, self._request, effort)
        cpu_seconds, others = meter.read()
        if not done.requests:
            raise NotAvailable(f"no request succeeded, {done.errors} errors")
        self._slices.append(Slice(done, cpu_seconds, self._server.memory_mb(), others))

    def row(self, repeat: int) -> Row:
        """The last turns; those before were to warm up."""
        who = self._contender
        slices = () if self.reason else tuple(self._slices[-repeat:])
        return Row(who.name, who.title, who.version, slices, self.reason)


def measure(workload: Workload, contenders: Sequence[Contender], plan: Plan) -> list[Row]:
    """Start all, verify each, warm each up, then measure them in rounds."""
    entries = [Entry(contender, workload) for contender in contenders]
    with ExitStack() as stack, TemporaryDirectory(prefix="tollhouse-bench-") as home:
        upstream = stack.enter_context(fake_upstream(workload, plan, Path(home)))
        for entry in entries:
            if not entry.reason:
                with entry.excused():
                    entry.start(Path(home), upstream, plan, stack)
        for seconds in (plan.warm_up_seconds, *[plan.seconds] * plan.repeat):
            for entry in entries:
                if seconds and not entry.reason:
                    with entry.excused():
                        entry.take_turn(plan, seconds)
        return [entry.row(plan.repeat) for entry in entries]


def reference(rows: Sequence[Row]) -> Row | None:
    """nginx in the same run: what all ratios are to."""
    return next((row for row in rows if row.contender == "nginx" and row.slices), None)


@contextmanager
def fake_upstream(workload: Workload, plan: Plan, home: Path) -> Iterator[Upstream]:
    folder = home / "upstream"
    folder.mkdir()
    (port,) = free_ports(1)
    argv: Sequence[str] = fake_model(folder, port)
    if workload.streamed:
        paced = ("--writes", str(plan.stream_writes), "--pause-ms", str(plan.stream_pause_ms))
        argv = (sys.executable, "-m", "benchmarks.stream_server", str(port), *paced)
    env = {"PYTHONPATH": str(ROOT)}
    with Server(argv, core=plan.cores.upstream, log=folder / "log.txt", env=env) as server:
        yield Upstream(server, server.wait_until_ready(port))


def verify(port: int, request: Request, workload: Workload) -> None:
    """Raise NotAvailable unless a request is answered with 200 and the model's words."""
    connection = HTTPConnection("127.0.0.1", port, timeout=VERIFY_SECONDS)
    try:
        connection.request("POST", request.path, request.body, request.all_headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise NotAvailable(f"answers {answer.status}: {body[:120]!r}")
        workload.check(body)
    except (OSError, HTTPException, ValueError) as error:
        raise NotAvailable(f"wrong answer: {error!r:.160}") from error
    finally:
        connection.close()
