"""The configuration that processes share: whole at any moment, whatever becomes of who writes it."""

import os
import signal

import pytest

from tollhouse.supervisor.shared import SnapshotFile

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def test_changes_follow_the_snapshot_that_they_begin_from() -> None:
    shared = SnapshotFile()
    first = shared.write(b"snapshot")
    second = shared.append(b"one")
    third = shared.append(b"")
    assert (second, third) == (first + 1, first + 2)
    assert shared.read() == (third, b"snapshot", [b"one", b""])
    assert shared.since(first) == (third, [b"one", b""])
    assert shared.since(second) == (third, [b""])
    assert shared.since(third) == (third, [])


def test_versions_from_before_a_snapshot_are_no_longer_led_on() -> None:
    shared = SnapshotFile()
    shared.append(b"one")
    former = shared.write(b"another")
    assert shared.read() == (former, b"another", [])
    assert shared.since(former - 1) == (former, None)
    assert shared.since(former + 1) == (former, None)


def test_gathering_changes_is_no_new_version() -> None:
    shared = SnapshotFile()
    version = shared.append(b"x" * 100)
    shared.settle(b"whole")
    assert shared.read() == (version, b"whole", [])
    assert shared.since(version) == (version, [])
    assert shared.since(version - 1) == (version, None)
    assert shared.sizes == (5, 0)


def test_a_writer_that_is_killed_leaves_what_was_or_what_comes() -> None:
    shared = SnapshotFile()
    for _ in range(10):
        writer = os.fork()
        if writer == 0:
            try:
                _write_for_ever(shared)
            finally:
                os._exit(1)
        version = shared.read().version
        while shared.read().version < version + 20:
            _look(shared)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        _look(shared)


def _write_for_ever(shared: SnapshotFile) -> None:
    """Each version tells its own number, many times over."""
    while True:
        version = shared.read().version + 1
        if version % 3 == 0:
            shared.write(b"%d\n" % version * 30_000)
        else:
            shared.append(b"%d\n" % version * 30_000)


def _look(shared: SnapshotFile) -> None:
    version, snapshot, changes = shared.read()
    for number, piece in enumerate(reversed([*([snapshot] if snapshot else []), *changes])):
        assert piece == b"%d\n" % (version - number) * 30_000
