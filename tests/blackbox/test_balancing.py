"""Upstreams: who of several targets gets a request, who is taken out, and who comes back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Received, Upstream

BAD = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Named:
    """An upstream that answers with its name, and with errors while it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = False
        self.upstream = Upstream(answer=self._answer)

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        body = self.name.encode()
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        writer.write(BAD if self.broken else ok)
        return True

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.upstream.port}"


@pytest.fixture
async def three() -> AsyncIterator[list[Named]]:
    servers = [Named(name) for name in "abc"]
    for server in servers:
        await server.upstream.start()
    yield servers
    for server in servers:
        await server.upstream.stop()


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    nodes: list[Gateway] = []

    async def starting(
        targets: list[tuple[str, int]],
        upstream: dict[str, Any] | None = None,
        workers: int = 1,
        **service: Any,
    ) -> Gateway:
        config = {
            "_format_version": "3.0",
            "upstreams": [
                {
                    "name": "pool",
                    "targets": [{"target": target, "weight": weight} for target, weight in targets],
                    **(upstream or {}),
                }
            ],
            "plugins": [{"name": "prometheus", "config": {"upstream_health_metrics": True}}],
            "services": [
                {
                    "name": "s",
                    "host": "pool",
                    **service,
                    "routes": [{"name": "r", "paths": ["/", "~/users/(?<user>[^/]+)"]}],
                }
            ],
        }
        nodes.append(await Gateway.start(msgspec.json.encode(config).decode(), workers=workers))
        return nodes[-1]

    yield starting
    for node in nodes:
        await node.stop()


async def asked(node: Gateway, count: int, path: str = "/", **headers: str) -> list[str]:
    replies = [await node.request("GET", path, headers) for _ in range(count)]
    return [reply.body.decode() if reply.status == 200 else str(reply.status) for reply in replies]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


async def free_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def test_round_robin_by_weight(three: list[Named], start: Start) -> None:
    a, b, c = (server.target for server in three)
    node = await start([(a, 100), (b, 300), (c, 0)])
    assert Counter(await asked(node, 40)) == {"a": 10, "b": 30}


async def test_a_refused_connection_is_tried_elsewhere(three: list[Named], start: Start) -> None:
    dead = f"127.0.0.1:{await free_port()}"
    node = await start([(three[0].target, 100), (dead, 100)])
    assert set(await asked(node, 8)) == {"a"}
    alone = await start([(dead, 100)], retries=2)
    assert (await asked(alone, 1)) == ["502"]


@pytest.mark.parametrize(
    ("upstream", "one", "other"),
    [
        ({"hash_on": "header", "hash_on_header": "X-Tenant"}, {"X-Tenant": "one"}, "X-Tenant"),
        ({"hash_on": "path"}, {}, ""),
        ({"hash_on": "query_arg", "hash_on_query_arg": "q"}, {}, ""),
        ({"hash_on": "uri_capture", "hash_on_uri_capture": "user"}, {}, ""),
        ({"hash_on": "consumer", "hash_fallback": "ip"}, {}, ""),
    ],
    ids=["header", "path", "query", "capture", "fallback"],
)
async def test_consistent_hashing(
    three: list[Named], start: Start, upstream: dict[str, Any], one: dict[str, str], other: str
) -> None:
    node = await start(
        [(server.target, 100) for server in three], {"algorithm": "consistent-hashing", **upstream}
    )
    assert len(set(await asked(node, 6, "/users/me?q=1", **one))) == 1
    values = [
        (await asked(node, 1, f"/users/{number}?q={number}", **({other: f"{number}"} if other else {})))[0]
        for number in range(24)
    ]
    spread = 1 if upstream["hash_on"] == "consumer" else 3
    assert len(set(values)) == spread


async def test_a_cookie_brings_a_client_back(three: list[Named], start: Start) -> None:
    upstream = {"algorithm": "consistent-hashing", "hash_on": "cookie", "hash_on_cookie": "sticky"}
    node = await start([(server.target, 100) for server in three], upstream)
    first = await node.request("GET", "/")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("sticky=")
    assert cookie.endswith("; Path=/; Same-Site=Lax; HttpOnly")
    again = await asked(node, 5, Cookie=cookie.partition(";")[0])
    assert set(again) == {first.body.decode()}
    assert "set-cookie" not in (await node.request("GET", "/", {"Cookie": cookie.partition(";")[0]})).headers


@pytest.mark.parametrize("algorithm", ["least-connections", "latency"])
async def test_other_algorithms_reach_everyone(three: list[Named], start: Start, algorithm: str) -> None:
    node = await start([(server.target, 100) for server in three], {"algorithm": algorithm})
    replies = await asked(node, 30)
    assert len(set(replies)) >= 2
    assert "502" not in replies


PASSIVE = {"healthchecks": {"passive": {"unhealthy": {"http_failures": 3, "tcp_failures": 2, "timeouts": 1}}}}


async def test_bad_answers_take_a_target_out_for_all_workers(three: list[Named], start: Start) -> None:
    a, b, _ = three
    node = await start([(a.target, 100), (b.target, 100)], PASSIVE, workers=2)
    a.broken = True

    async def only_b() -> bool:
        return set(await asked(node, 8)) == {"b"}

    await until(only_b)
    await node.until_logged("of upstream pool is unhealthy by its traffic")
    health = await health_of(node)
    assert health == {a.target: "UNHEALTHY", b.target: "HEALTHY"}
    metrics = (await node.admin_request("GET", "/metrics")).body.decode()
    for target, state, value in (
        (a.target, "unhealthy", 1),
        (a.target, "healthy", 0),
        (b.target, "healthy", 1),
    ):
        labels = f'upstream="pool",target="{target}",address="{target}",state="{state}",subsystem="http"'
        assert f"kong_upstream_target_health{{{labels}}} {value}\n" in metrics


async def health_of(node: Gateway) -> dict[str, str]:
    reply: Reply = await node.admin_request("GET", "/upstreams/pool/health")
    data: Any = reply.json()
    return {each["target"]: each["health"] for each in data["data"]}


async def test_one_worker_takes_it_out_at_once(three: list[Named], start: Start) -> None:
    node = await start([(three[0].target, 100)], PASSIVE)
    three[0].broken = True
    assert await asked(node, 4) == ["500", "500", "500", "503"]


async def test_an_operator_brings_it_back(three: list[Named], start: Start) -> None:
    a = three[0]
    node = await start([(a.target, 100)], PASSIVE)
    a.broken = True
    await asked(node, 3)
    a.broken = False
    assert await asked(node, 1) == ["503"]
    done = await node.admin_request("PUT", f"/upstreams/pool/targets/{a.target}/healthy")
    assert done.status == 204

    async def back() -> bool:
        return await asked(node, 1) == ["a"]

    await until(back)
    assert (await node.admin_request("PUT", f"/upstreams/pool/targets/{a.target}/unhealthy")).status == 204

    async def out() -> bool:
        return await asked(node, 1) == ["503"]

    await until(out)


ACTIVE = {
    "healthchecks": {
        "active": {
            "http_path": "/alive",
            "headers": {"X-Probe": ["yes"]},
            "healthy": {"interval": 0.1, "successes": 2},
            "unhealthy": {"interval": 0.1, "http_failures": 2, "tcp_failures": 1, "timeouts": 1},
        }
    }
}


async def test_probes_take_a_target_out_and_bring_it_back(three: list[Named], start: Start) -> None:
    a, b, _ = three
    node = await start([(a.target, 100), (b.target, 100)], ACTIVE)
    await a.upstream.until(1, "/alive")
    probe = next(received for received in a.upstream.received if received.target == "/alive")
    assert probe.headers["x-probe"] == "yes"
    assert probe.headers["host"] == a.target

    a.broken = True

    async def only_b() -> bool:
        return set(await asked(node, 4)) == {"b"}

    await until(only_b)
    a.broken = False

    async def both() -> bool:
        return set(await asked(node, 4)) == {"a", "b"}

    await until(both)


async def test_too_little_that_is_healthy_is_nothing(three: list[Named], start: Start) -> None:
    a, b, _ = three
    checks = {"threshold": 60, **PASSIVE["healthchecks"]}
    node = await start([(a.target, 100), (b.target, 100)], {"healthchecks": checks})
    a.broken = True
    replies = await asked(node, 12)
    assert replies[-1] == "503"
    answer: Any = (await node.request("GET", "/")).json()
    assert answer["message"] == "failure to get a peer from the ring-balancer"


async def test_health_survives_a_reload(three: list[Named], start: Start) -> None:
    a = three[0]
    node = await start([(a.target, 100)], PASSIVE)
    a.broken = True
    await asked(node, 3)
    a.broken = False
    assert (await node.configure(node.file.read_text().replace('"/"', '"/new","/"'))).status == 201
    assert await asked(node, 1, "/new") == ["503"]


async def test_a_target_that_has_recovered_begins_slowly(three: list[Named], start: Start) -> None:
    a, b, _ = three
    node = await start([(a.target, 100), (b.target, 100)], {**PASSIVE, "slow_start": 1000})
    assert Counter(await asked(node, 20)) == {"a": 10, "b": 10}, "those of the start begin at once"
    a.broken = True
    await until(lambda: _gets(node, {"b"}))
    a.broken = False
    assert (await node.admin_request("PUT", f"/upstreams/pool/targets/{a.target}/healthy")).status == 204
    await until(lambda: _gets(node, {"a", "b"}, 30))
    counts = Counter(await asked(node, 300))
    assert 0 < counts["a"] < 75, counts


async def test_a_new_target_begins_slowly_and_gets_its_share_in_the_end(
    three: list[Named], start: Start
) -> None:
    a, b, _ = three
    node = await start([(a.target, 100), (b.target, 0)], {"slow_start": 1000})
    assert set(await asked(node, 3)) == {"a"}
    text = node.file.read_text()
    both = text.replace('"weight":0', '"weight":100')
    assert (await node.configure(both)).status == 201
    await until(lambda: _gets(node, {"a", "b"}, 30))
    counts = Counter(await asked(node, 300))
    assert 0 < counts["b"] < 75, counts
    assert (await node.configure(both.replace('"slow_start":1000', '"slow_start":0.1'))).status == 201

    async def evenly() -> bool:
        return Counter(await asked(node, 20)) == {"a": 10, "b": 10}

    await until(evenly)


async def _gets(node: Gateway, names: set[str], count: int = 4) -> bool:
    return set(await asked(node, count)) == names
