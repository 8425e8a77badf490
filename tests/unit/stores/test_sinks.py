"""Files that log lines go to: batched, bounded, and never in anybody's way."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from select import PIPE_BUF

import pytest

from tollhouse.stores.sinks import Sinks
from tollhouse.telemetry.metrics import Counter


@pytest.fixture
def dropped() -> Counter:
    return Counter("dropped", "", ("sink",))


@pytest.fixture
async def sinks(dropped: Counter) -> AsyncIterator[Sinks]:
    sinks = Sinks(dropped)
    yield sinks
    sinks.close()


async def until_holds(path: Path, lines: int) -> list[str]:
    async with asyncio.timeout(10):
        while True:
            found = path.read_text().splitlines() if path.exists() else []
            if len(found) >= lines:
                return found
            await asyncio.sleep(0.005)


def count(dropped: Counter, path: Path | str) -> float:
    return dropped.series((str(path),)).value


async def test_lines_arrive_in_order_and_whole(sinks: Sinks, tmp_path: Path) -> None:
    sink = sinks.file(str(tmp_path / "log"), reopen=False)
    for number in range(5000):
        sink.write(b"line %d\n" % number)

    assert await until_holds(tmp_path / "log", 5000) == [f"line {number}" for number in range(5000)]


async def test_lines_written_after_a_batch_are_written_too(sinks: Sinks, tmp_path: Path) -> None:
    sink = sinks.file(str(tmp_path / "log"), reopen=False)
    for number in range(1, 4):
        sink.write(b"line\n")
        await until_holds(tmp_path / "log", number)


async def test_closing_writes_what_is_held(dropped: Counter, tmp_path: Path) -> None:
    sinks = Sinks(dropped)
    sink = sinks.file(str(tmp_path / "log"), reopen=False)
    sink.write(b"held\n")

    sinks.close()

    assert (tmp_path / "log").read_text() == "held\n"


async def test_two_users_share_a_file_until_the_last_has_gone(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "log"
    first, second = sinks.file(str(path), reopen=False), sinks.file(str(path), reopen=False)
    assert first is second

    first.close()
    second.write(b"still\n")
    await until_holds(path, 1)
    second.close()

    sinks.file(str(path), reopen=False).write(b"again\n")
    assert await until_holds(path, 2) == ["still", "again"]


async def test_a_file_that_is_moved_away_is_made_anew_if_asked(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = sinks.file(str(path), reopen=True)
    sink.write(b"before\n")
    await until_holds(path, 1)

    path.rename(tmp_path / "log.1")
    sink.write(b"after\n")

    assert await until_holds(path, 1) == ["after"]
    assert (tmp_path / "log.1").read_text() == "before\n"


async def test_a_file_that_is_rotated_is_made_anew_soon(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = sinks.file(str(path), reopen=False)
    sink.write(b"before\n")
    await until_holds(path, 1)
    path.rename(tmp_path / "log.1")

    async with asyncio.timeout(10):
        while not path.exists():
            sink.write(b"later\n")
            await asyncio.sleep(0.05)

    assert (await until_holds(path, 1))[0] == "later"


async def test_lines_for_a_file_that_cannot_be_opened_are_counted(
    sinks: Sinks, dropped: Counter, tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "log"
    sink = sinks.file(str(path), reopen=False)
    sink.write(b"lost\n")
    sink.write(b"lost\n")
    async with asyncio.timeout(10):
        while count(dropped, path) < 2:
            await asyncio.sleep(0.005)

    path.parent.mkdir()
    sink.write(b"found\n")

    assert await until_holds(path, 1) == ["found"]
    assert count(dropped, path) == 2


async def test_a_file_that_hangs_holds_up_nobody_and_keeps_memory_bounded(
    sinks: Sinks, dropped: Counter, tmp_path: Path
) -> None:
    """A named pipe without a reader: opening it blocks."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hanging, other = sinks.file(str(pipe), reopen=False), sinks.file(str(tmp_path / "log"), reopen=False)
    hanging.write(b"first\n")
    other.write(b"line\n")
    await until_holds(tmp_path / "log", 1)

    for _ in range(5):
        for _ in range(10_000):
            hanging.write(b"line\n")
        other.write(b"line\n")
        await asyncio.sleep(0)
    await until_holds(tmp_path / "log", 6)

    assert count(dropped, pipe) >= 50_001 - 2 * 20_000
    lines: list[bytes] = []

    def read() -> None:
        with pipe.open("rb") as file:
            lines.extend(file)

    reader = threading.Thread(target=read)
    reader.start()
    sinks.close()
    reader.join(10)
    assert len(lines) + count(dropped, pipe) == 50_001


async def test_pieces_for_a_pipe_are_so_small_that_lines_do_not_mix(sinks: Sinks, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    line = b"x" * 999 + b"\n"
    sink = sinks.file(str(pipe), reopen=False)
    for _ in range(10):
        sink.write(line)

    data = b""
    async with asyncio.timeout(10):
        while len(data) < 10_000:
            await asyncio.sleep(0.005)
            try:
                data += os.read(reader, 65_536)
            except BlockingIOError:
                continue
    os.close(reader)

    assert data == line * 10
    from tollhouse.stores.sinks import _pieces

    reading, writing = os.pipe()
    assert [len(piece) for piece in _pieces([line] * 10, writing)] == [4000, 4000, 2000]
    assert PIPE_BUF >= 4000
    os.close(reading)
    os.close(writing)
