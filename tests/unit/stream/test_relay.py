"""When a relay ends what rests: both ends over real sockets, instants as the test says."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tollhouse.stream.relay import End, Relay
from tollhouse.upstream.http1 import Timeouts

TIMEOUTS = Timeouts(connect=1, read=10, write=5)
PATIENCE_SECONDS = 15


class Far:
    """The other side of an end: a client or a target."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.loop.sock_sendall(self.sock, data)

    async def read(self, size: int = 65_536) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.loop.sock_recv(self.sock, size)


async def end() -> tuple[End, Far, asyncio.Event]:
    near, far = socket.socketpair()
    gone = asyncio.Event()
    made = End(gone.set)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: made, near)
    far.setblocking(False)
    return made, Far(far), gone


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[Relay, Far, Far, asyncio.Event, End]]:
    """A relay at instant 0, its client, its target, whether the client's end has gone, and the target's."""
    client, far_client, gone = await end()
    upstream, far_upstream, _ = await end()
    try:
        yield Relay(client, upstream, TIMEOUTS, 0.0), far_client, far_upstream, gone, upstream
    finally:
        for far in (far_client, far_upstream):
            far.sock.close()
        client.abort()
        upstream.abort()


async def test_bytes_and_ends_pass_both_ways() -> None:
    async with relayed() as (_, client, target, gone, _):
        await client.send(b"question")
        assert await target.read() == b"question"
        client.sock.shutdown(socket.SHUT_WR)
        assert await target.read() == b""
        await target.send(b"answer")
        target.sock.shutdown(socket.SHUT_WR)
        assert await client.read() == b"answer"
        assert await client.read() == b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gone.wait()


async def test_bytes_keep_a_relay_alive_and_rest_ends_it() -> None:
    async with relayed() as (relay, client, target, _, _):
        relay.look(1.0)
        relay.look(10.0)
        await client.send(b"x")
        assert await target.read() == b"x"
        relay.look(10.5)  # which sees the byte
        relay.look(20.0)
        await client.send(b"y")
        assert await target.read() == b"y"  # still alive
        relay.look(21.0)
        relay.look(31.5)
        assert await client.read() == b""
        assert await target.read() == b""


async def test_an_end_that_takes_nothing_is_cut_after_the_write_timeout() -> None:
    async with relayed() as (relay, client, _, gone, upstream):
        sending = asyncio.ensure_future(client.send(bytes(16 * 1024 * 1024)))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not upstream.blocked:  # the sockets are full then, and nothing moves any more
                await asyncio.sleep(0)
        relay.look(1.0)
        relay.look(5.0)
        assert not gone.is_set()
        relay.look(6.5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gone.wait()
        await asyncio.gather(sending, return_exceptions=True)
