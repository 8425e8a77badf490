"""Load for streams: keep some connections busy with one request after the other; print JSON.

The request comes on standard input. A stream counts when its status is 200 and its end says [DONE]; a
gateway that had all of it at once may have sent it with a Content-Length instead of in chunks. wrk cannot
tell when the first chunk came, hence this.
"""

import argparse
import asyncio
import json
import sys
from statistics import quantiles
from time import perf_counter
from typing import Final, cast

import uvloop

END_OF_CHUNKS: Final = b"\r\n0\r\n\r\n"
END_OF_EVENTS: Final = b"[DONE]\n\n"
OK: Final = b"HTTP/1.1 200 "
TAIL_BYTES: Final = 64
RETRY_SECONDS: Final = 0.1


class Tally:
    def __init__(self) -> None:
        self.first_ms: list[float] = []
        self.whole_ms: list[float] = []
        self.errors = 0

    def report(self, seconds: float) -> dict[str, float]:
        first, whole = _percentiles(self.first_ms), _percentiles(self.whole_ms)
        counts = {"requests": len(self.whole_ms), "seconds": seconds, "errors": self.errors}
        times = {
            "p50_ms": whole[49],
            "p99_ms": whole[98],
            "first_p50_ms": first[49],
            "first_p99_ms": first[98],
        }
        return counts | times


class Client(asyncio.Protocol):
    """One connection. `stop` is looked at between streams, so that none is cut short."""

    def __init__(self, request: bytes, tally: Tally, stop: asyncio.Event) -> None:
        self._request, self._tally, self._stop = request, tally, stop
        self._seen, self._awaits_first, self._sent = b"", True, 0.0
        self._end = END_OF_CHUNKS
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._seen += data
        if self._awaits_first:
            if not self._seen.startswith(OK[: len(self._seen)]):
                self._transport.abort()
            if b"data:" not in self._seen:
                return
            self._awaits_first = False
            head = self._seen.partition(b"\r\n\r\n")[0].lower()
            self._end = END_OF_CHUNKS if b"transfer-encoding: chunked" in head else END_OF_EVENTS
            self._first_ms = (now - self._sent) * 1000
        self._seen = self._seen[-TAIL_BYTES:]
        if self._seen.endswith(self._end):
            self._finish(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.is_set():
            self._tally.errors += 1
            self.done.set()

    def _send(self) -> None:
        self._seen, self._awaits_first = b"", True
        self._sent = perf_counter()
        self._transport.write(self._request)

    def _finish(self, now: float) -> None:
        if b"[DONE]" in self._seen:
            self._tally.first_ms.append(self._first_ms)
            self._tally.whole_ms.append((now - self._sent) * 1000)
        else:
            self._tally.errors += 1
        if self._stop.is_set():
            self.done.set()
            self._transport.close()
        else:
            self._send()


async def keep_busy(port: int, request: bytes, tally: Tally, stop: asyncio.Event) -> None:
    """One connection until told to stop; another one only after an error."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        try:
            _, client = await loop.create_connection(lambda: Client(request, tally, stop), "127.0.0.1", port)
        except OSError:
            tally.errors += 1
            await asyncio.sleep(RETRY_SECONDS)
        else:
            await client.done.wait()


async def load(port: int, connections: int, seconds: float, request: bytes) -> Tally:
    tally, stop = Tally(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(keep_busy(port, request, tally, stop))
        await asyncio.sleep(seconds)
        stop.set()
    return tally


def _percentiles(values: list[float]) -> list[float]:
    return quantiles(values, n=100, method="inclusive") if len(values) > 1 else [0.0] * 99


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("port", type=int)
    options.add_argument("connections", type=int)
    options.add_argument("seconds", type=float)
    chosen = options.parse_args()
    request = sys.stdin.buffer.read()
    started = perf_counter()
    tally = uvloop.run(load(chosen.port, chosen.connections, chosen.seconds, request))
    print(json.dumps(tally.report(perf_counter() - started)))
