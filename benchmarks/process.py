"""Start a server pinned to a core, know what its process tree costs, and end it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.request import urlopen

from benchmarks.tools import NotAvailable, last_line

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core does what: the server under test always has one that nothing else is pinned to."""

    server: int
    load: int
    upstream: int

    @classmethod
    def of_this_machine(cls) -> Self:
        cores = sorted(os.sched_getaffinity(0))
        return cls(server=cores[0], load=cores[1 % len(cores)], upstream=cores[min(2, len(cores) - 1)])

    def __str__(self) -> str:
        if self.server == self.load:
            return (
                f"one core (CPU {self.server}) for everything: requests/s mean little, CPU per request does"
            )
        return f"server on CPU {self.server}, load on CPU {self.load}, upstream on CPU {self.upstream}"


class Server:
    """A process tree of ours, its output in a file. Use it as a context manager."""

    def __init__(
        self, argv: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                pinned(core, argv),
                cwd=log.parent,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        tree = list(self._tree())
        _signal(tree[:1], signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        _signal(tree, signal.SIGKILL)
        self._process.wait()

    def wait_until_ready(self, port: int | Path, urls: Sequence[str] = ()) -> int:
        """The port, once it accepts and every URL answers 200; a path is a file the server writes it to."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise NotAvailable(f"ended with {self._process.returncode}: {last_line(self.log)}")
            number = port if isinstance(port, int) else _number_in(port)
            if number and _accepts(number) and all(_answers_ok(url) for url in urls):
                return number
            time.sleep(0.02)
        raise NotAvailable(f"not ready after {START_SECONDS:.0f} s: {last_line(self.log)}")

    def cpu_seconds(self) -> float:
        """User and system time of the tree, ended children included, so it never falls."""
        total = 0.0
        for pid in self._tree():
            with suppress(OSError):
                # Linux's clock of another process (CPUCLOCK_SCHED): nanoseconds, ended threads included.
                total += time.clock_gettime((~pid << 3) | 2)
                children_user, children_system = _stat(pid)[13:15]
                total += (int(children_user) + int(children_system)) / TICKS_PER_SECOND
        return total

    def memory_mb(self) -> float:
        """Proportional set size of the tree: pages shared between its processes count once."""
        return sum(map(_pss_kb, self._tree())) / 1024

    def _tree(self) -> Iterator[int]:
        parents = dict(_parents())
        wanted = [self._process.pid]
        for pid in wanted:
            yield pid
            wanted += [child for child, parent in parents.items() if parent == pid]


def machine_cpu_seconds() -> float:
    """What was used so far: by processes, by interrupts, and (stolen) by other guests of the same host."""
    user, nice, system, _idle, _iowait, irq, softirq, stolen, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq, stolen))) / TICKS_PER_SECOND


def pinned(core: int, argv: Sequence[str]) -> tuple[str, ...]:
    return "taskset", "--cpu-list", str(core), *argv


def free_ports(count: int) -> list[int]:
    """Ports free a moment ago; all are held until the last is found, so they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on (field 3): a command's name may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), int(_stat(int(entry.name))[1])


def _pss_kb(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _number_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _answers_ok(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback URLs
        return bool(answer.status == 200)
    return False
