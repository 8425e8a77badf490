"""Several real processes count together: nothing is lost, and a dead one blocks nobody."""

import os
import signal
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf

import pytest

from tollhouse.pdk.services import Window
from tollhouse.stores.counters import SharedCounters, shared_file

PROCESSES = 4


def clock() -> float:
    return 1000.0


def fork(work: Callable[[], None]) -> int:
    """Runs `work` in a process of its own; its exit code is 0 if nothing was raised."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def join(pids: list[int]) -> None:
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def test_concurrent_adds_come_to_the_exact_sum() -> None:
    descriptor = shared_file(256)
    windows = [Window(f"k{number}", 960, 60, 0) for number in range(5)]

    def add() -> None:
        counters = SharedCounters(descriptor, clock)
        for turn in range(2000):
            counters.add(windows[turn % 5], 1 + turn % 3)

    join([fork(add) for _ in range(PROCESSES)])

    counters = SharedCounters(descriptor, clock)
    one = [sum(1 + turn % 3 for turn in range(2000) if turn % 5 == number) for number in range(5)]
    assert [counters.read(window) for window in windows] == [PROCESSES * count for count in one]
    counters.close()
    os.close(descriptor)


def test_concurrent_takes_let_exactly_the_limit_through() -> None:
    descriptor = shared_file(256)
    windows = [Window("k", 960, 60, 1000), Window("k", 0, 3600, 1500)]
    reader, writer = os.pipe()

    def take() -> None:
        tally = SharedCounters(descriptor, clock).tally(windows)
        passed = sum(tally.take()[0] for _ in range(600))
        os.write(writer, passed.to_bytes(4, "little"))

    join([fork(take) for _ in range(PROCESSES)])

    data = os.read(reader, 4 * PROCESSES)
    passed = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    assert len(passed) == PROCESSES
    assert sum(passed) == 1000
    counters = SharedCounters(descriptor, clock)
    assert [counters.read(window) for window in windows] == [1000, 1000]
    counters.close()
    for each in (descriptor, reader, writer):
        os.close(each)


def test_a_process_killed_while_it_holds_a_lock_blocks_nobody() -> None:
    descriptor = shared_file(256)  # one region, so its lock is on the first byte
    told, tell = os.pipe()
    window = Window("k", 960, 60, 10)

    def hold_for_ever() -> None:
        SharedCounters(descriptor, clock).add(window, 3)
        lockf(descriptor, LOCK_EX, 1, 0)
        os.write(tell, b"!")
        signal.pause()

    pid = fork(hold_for_ever)
    os.read(told, 1)
    with pytest.raises(BlockingIOError):
        lockf(descriptor, LOCK_EX | LOCK_NB, 1, 0)

    def count() -> None:
        assert SharedCounters(descriptor, clock).tally([window]).take() == (True, [4])

    waiting = fork(count)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    join([waiting])
    lockf(descriptor, LOCK_EX | LOCK_NB, 1, 0)
    lockf(descriptor, LOCK_UN, 1, 0)
    counters = SharedCounters(descriptor, clock)
    assert counters.read(window) == 4
    counters.close()
    for each in (descriptor, told, tell):
        os.close(each)


def test_processes_killed_at_any_moment_never_leave_a_count_too_high() -> None:
    """Each process tells of every request it let through before the next; a kill loses one at most."""
    descriptor = shared_file(256)
    window = Window("k", 960, 60, 1_000_000)
    told, tell = os.pipe()

    def take_for_ever() -> None:
        tally = SharedCounters(descriptor, clock).tally([window])
        while tally.take()[0]:
            os.write(tell, b"!")

    received = 0
    for _ in range(PROCESSES):
        pid = fork(take_for_ever)
        goal = received + 500
        while received < goal:
            received += len(os.read(told, 4096))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(tell)
    while data := os.read(told, 4096):
        received += len(data)

    counters = SharedCounters(descriptor, clock)
    assert received <= counters.read(window) <= received + PROCESSES
    counters.close()
    os.close(descriptor)
    os.close(told)
