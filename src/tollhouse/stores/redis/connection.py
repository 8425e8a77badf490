"""One connection to a server: commands that come together are sent together, replies come in order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

import hiredis

from tollhouse.pdk.redis import Reply

Word = str | bytes | float

_MORE: Final = object()


def packed(words: Sequence[Word]) -> bytes:
    """A command as bytes (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


class Lost(Exception):
    """Why there is no connection, or none any longer."""


#: gets the replies in order, or why there are none
Done = Callable[[list[Reply] | Lost], None]


class Batch:
    """Commands about keys of one slot, packed, and who gets their replies."""

    __slots__ = ("commands", "done", "key", "replies", "sent_at")

    def __init__(self, key: str, commands: Sequence[bytes], done: Done) -> None:
        self.key = key
        self.commands = commands
        self.done = done
        self.replies: list[Reply] = []
        self.sent_at = 0.0


class Connection(asyncio.Protocol):
    """Carries batches until it is lost; `lost` is called once, after all that waited were told."""

    def __init__(self, send_seconds: float, read_seconds: float, lost: Callable[[Lost], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._send_seconds = send_seconds
        self._read_seconds = read_seconds
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self.waiting: deque[Batch] = deque()
        self._unsent: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._why = "the server closed the connection"

    def send(self, batch: Batch) -> None:
        """Sends with whatever else comes in this round of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.extend(batch.commands)
        batch.sent_at = self._loop.time()
        self.waiting.append(batch)
        if self._watch is None:
            self._watch = self._loop.call_later(self._read_seconds, self._look)

    def close(self, why: str) -> None:
        """Ends the connection; whoever waits is told why."""
        self._why = why
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def _look(self) -> None:
        """Has the server been silent for too long?"""
        self._watch = None
        if not self.waiting:
            return
        left = self.waiting[0].sent_at + self._read_seconds - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self.close(f"no answer within {self._read_seconds:g} s")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self.waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _MORE:
                batch = waiting[0]
                batch.replies.append(reply)
                if len(batch.replies) == len(batch.commands):
                    waiting.popleft()
                    batch.done(batch.replies)
        except (hiredis.ProtocolError, IndexError):
            self.close("what the server sends is no answer")

    def pause_writing(self) -> None:
        too_slow = f"nothing could be sent for {self._send_seconds:g} s"
        self._stuck = self._loop.call_later(self._send_seconds, self.close, too_slow)

    def resume_writing(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._watch, self._stuck):
            if timer is not None:
                timer.cancel()
        self._transport = None
        lost = Lost(str(exc) if exc is not None and str(exc) else self._why)
        waiting, self.waiting = self.waiting, deque()
        for batch in waiting:
            batch.done(lost)
        self._lost(lost)
