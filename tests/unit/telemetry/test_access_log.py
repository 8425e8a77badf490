"""The access log's clock; its lines are seen over sockets in tests/blackbox/test_access_log.py."""

import re
import time
from pathlib import Path

import pytest

from tollhouse.pdk.services import Sink
from tollhouse.telemetry.access_log import AccessLog


class Kept:
    """A sink that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line.decode())

    def close(self) -> None: ...


class Opened:
    """Sinks that remember what was opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, bool]] = []

    def file(self, path: str, *, reopen: bool) -> Sink:
        self.opened.append((path, reopen))
        return Kept()


def test_the_time_is_that_of_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-05:30")
    time.tzset()
    try:
        now, sink = 951_782_399.9, Kept()
        access_log = AccessLog(sink, lambda: now)
        access_log.refused("10.0.0.1", 400, 57, "0" * 32, None)
        now = 951_782_400.0
        access_log.refused("10.0.0.1", 400, 57, "0" * 32, None)
    finally:
        monkeypatch.undo()
        time.tzset()

    times = [found[1] for line in sink.lines if (found := re.search(r"\[(.*?)\]", line))]
    assert times == ["29/Feb/2000:05:29:59 +0530", "29/Feb/2000:05:30:00 +0530"]


def test_no_file_no_log() -> None:
    sinks = Opened()

    assert AccessLog.to(None, sinks, time.time) is None
    assert sinks.opened == []


def test_folders_are_made_and_the_file_may_be_moved_away(tmp_path: Path) -> None:
    sinks, path = Opened(), tmp_path / "a" / "b" / "access.log"

    assert AccessLog.to(str(path), sinks, time.time) is not None

    assert path.parent.is_dir()
    assert sinks.opened == [(str(path), True)]


def test_a_folder_that_cannot_be_made_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert AccessLog.to(str(tmp_path / "file" / "access.log"), Opened(), time.time) is not None
