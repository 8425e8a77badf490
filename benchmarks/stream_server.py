"""The fake model server for streams: 200 prepared events per request, in several paced writes.

Every event is an HTTP chunk of its own, as providers send them, in the form that the path is of. It
understands just the requests that these benchmarks send. Prints nothing; runs until it is ended.
"""

import argparse
import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple, cast

import uvloop

from benchmarks.workloads import MESSAGES, message_events, stream_events

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Forms(NamedTuple):
    """The answer in two forms, each cut into writes."""

    openai: list[bytes]
    anthropic: list[bytes]


def prepare(events: Iterable[bytes], writes: int) -> list[bytes]:
    """The answer cut into this many writes, the head in front of the first."""
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    per_write = (len(chunks) - 1) // writes
    cuts = [number * per_write for number in range(writes)] + [len(chunks)]
    parts = [b"".join(chunks[start:end]) for start, end in pairwise(cuts)]
    parts[0] = HEAD + parts[0]
    parts[-1] += b"0\r\n\r\n"
    return parts


class Model(asyncio.Protocol):
    def __init__(self, forms: Forms, pause: float) -> None:
        self._forms, self._pause = forms, pause
        self._parts = forms.openai
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end_of_head, body = self._received.partition(b"\r\n\r\n")
        if end_of_head and _is_whole(head.lower(), body):
            self._received = b""
            path = head.split(b" ", 2)[1].decode()
            self._parts = self._forms.anthropic if path == MESSAGES else self._forms.openai
            self._write(0)

    def _write(self, number: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._parts[number])
        if number + 1 < len(self._parts):
            asyncio.get_running_loop().call_later(self._pause, self._write, number + 1)


def _is_whole(head: bytes, body: bytes) -> bool:
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")


async def serve(port: int, writes: int, pause_ms: float) -> None:
    openai = prepare((*stream_events(), b"data: [DONE]\n\n"), writes)
    forms = Forms(openai, prepare(message_events(), writes))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Model(forms, pause_ms / 1000), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("port", type=int)
    options.add_argument("--writes", type=int, default=10)
    options.add_argument("--pause-ms", type=float, default=1.0)
    chosen = options.parse_args()
    uvloop.run(serve(chosen.port, chosen.writes, chosen.pause_ms))
