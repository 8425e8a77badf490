"""Requests that plugins make themselves."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.support.models import plain, stream
from tests.support.upstream import Received, Upstream

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.pdk.tasks import Tasks
from tollhouse.upstream.client import PooledClient
from tollhouse.upstream.dns import Lifetimes, Resolver
from tollhouse.upstream.pool import KeepAlive, Pools
from tollhouse.upstream.tls import UpstreamTls


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client() -> AsyncIterator[PooledClient]:
    pools = Pools(KeepAlive(), time.perf_counter, UpstreamTls())
    yield PooledClient(pools, Resolver(time.perf_counter, Tasks(), Lifetimes()))
    pools.close()


async def test_an_answer_comes_whole_however_it_was_sent(client: PooledClient, upstream: Upstream) -> None:
    upstream.answer = plain(b"all of it", 201, "X-More: yes")
    whole = await client.request("POST", f"{upstream.url}/a?b=c", headers=[("X-Own", "1")], body=b"hello")
    upstream.answer = stream([b"in ", b"pieces"])
    pieces = await client.request("GET", upstream.url)

    assert (whole.status, whole.body, whole.headers["x-more"]) == (201, b"all of it", "yes")
    assert pieces.body == b"in pieces"
    first, second = upstream.received
    assert (first.method, first.target, first.body) == ("POST", "/a?b=c", b"hello")
    assert first.headers["x-own"] == "1"
    assert (second.target, second.headers["host"]) == ("/", f"127.0.0.1:{upstream.port}")


async def test_connections_are_kept(client: PooledClient, upstream: Upstream) -> None:
    for _ in range(3):
        await client.request("GET", upstream.url)

    assert upstream.connections == 1


async def test_a_kept_connection_that_has_gone_is_no_failure(
    client: PooledClient, upstream: Upstream
) -> None:
    await client.request("GET", upstream.url)

    async def hang_up_once(received: Received, writer: asyncio.StreamWriter) -> bool:
        upstream.answer = plain(b"again")
        return False

    upstream.answer = hang_up_once

    assert (await client.request("GET", upstream.url)).body == b"again"


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
async def test_what_is_too_large_is_not_taken(client: PooledClient, upstream: Upstream, path: str) -> None:
    upstream.answer = plain(bytes(100)) if path == "/whole" else stream([bytes(60), bytes(60)])

    with pytest.raises(UpstreamFault, match="more than 99 bytes"):
        await client.request("GET", upstream.url + path, limit_bytes=99)


async def test_time_runs_out(client: PooledClient, upstream: Upstream) -> None:
    upstream.answer = stream([b"a", b"b"], after=asyncio.Event())

    with pytest.raises(UpstreamFault) as failed:
        await client.request("GET", upstream.url, timeout_seconds=0.2)

    assert failed.value.cause is Cause.READ_TIMEOUT


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "0.0.0.0"]
)
async def test_strangers_lead_nowhere_private(client: PooledClient, host: str) -> None:
    with pytest.raises(UpstreamFault, match="is no address on the public internet"):
        await client.request("GET", f"http://{host}:1/", public_only=True)


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http:///x", "http://a b/", "http://u:p@a/", "http://a/\r\nX: 1"]
)
async def test_what_is_no_url_is_refused(client: PooledClient, url: str) -> None:
    with pytest.raises(ValueError, match="no URL of a server"):
        await client.request("GET", url)


async def test_no_field_ends_its_line(client: PooledClient, upstream: Upstream) -> None:
    with pytest.raises(ValueError, match="end its line"):
        await client.request("GET", upstream.url, headers=[("X-A", "1\r\nX-B: 2")])

    assert upstream.received == []
