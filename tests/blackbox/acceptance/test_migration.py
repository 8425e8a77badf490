"""migration.yml: four providers and one API behind key-auth, with limits, cache and retry of their own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.acceptance import FILES, localised
from tests.support.gateway import Gateway
from tests.support.upstream import OK, Received, Upstream

ADMIN = {"apikey": "ADMIN_KEY_HERE"}
PROVIDERS = {
    "anthropic": ("https://api.anthropic.com", 1000, 10_000),
    "deepseek": ("https://api.deepseek.com", 2000, 20_000),
    "grok": ("https://api.x.ai", 1500, 15_000),
    "ollama": ("http://localhost:11434", 5000, 50_000),
}
FASTAPI = "http://localhost:8200"
CONSUMERS = {
    "reasoning-engine-consumer": "REASONING_ENGINE_KEY_HERE",
    "swarm-agent-consumer": "SWARM_AGENT_KEY_HERE",
    "query-deepseek-consumer": "QUERY_DEEPSEEK_KEY_HERE",
    "admin-consumer": "ADMIN_KEY_HERE",
}
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Provider(Upstream):
    """Fails as often as it is told to before it answers."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.failures = 0

    async def _answer(self, _: Received, writer: asyncio.StreamWriter) -> bool:
        self.failures -= 1
        writer.write(UNAVAILABLE if self.failures >= 0 else OK)
        return True


@pytest.fixture(scope="module")
async def services() -> AsyncIterator[dict[str, Provider]]:
    made = {name: Provider() for name in (*PROVIDERS, "fastapi")}
    for server in made.values():
        await server.start()
    yield made
    for server in made.values():
        await server.stop()


@pytest.fixture(scope="module")
async def node(services: dict[str, Provider]) -> AsyncIterator[Gateway]:
    places = {url: services[name].url for name, (url, _, _) in PROVIDERS.items()}
    text = localised((FILES / "migration.yml").read_text(), places | {FASTAPI: services["fastapi"].url})
    # So that a test can come from another address.
    trusted = {"KONG_TRUSTED_IPS": "127.0.0.1", "KONG_REAL_IP_HEADER": "X-Forwarded-For"}
    gateway = await Gateway.start(text, workers=2, environment=trusted)
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize("path", [*(f"/llm/{name}" for name in PROVIDERS), "/api"])
async def test_every_service_wants_a_key(node: Gateway, path: str) -> None:
    assert (await node.request("GET", path)).status == 401
    assert (await node.request("GET", path, {"apikey": "nobody's"})).status == 401


@pytest.mark.parametrize(("consumer", "key"), CONSUMERS.items())
async def test_every_consumer_s_key_is_known(
    node: Gateway, services: dict[str, Provider], consumer: str, key: str
) -> None:
    assert (await node.request("GET", f"/api/who/{consumer}", {"apikey": key})).status == 200
    assert services["fastapi"].received[-1].headers["x-consumer-username"] == consumer


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_gets_the_path_behind_its_prefix(
    node: Gateway, services: dict[str, Provider], name: str
) -> None:
    reply = await node.request("POST", f"/llm/{name}/v1/chat?x=1", ADMIN, b"{}")
    assert reply.status == 200
    received = services[name].received[-1]
    assert (received.method, received.target, received.body) == ("POST", "/v1/chat?x=1", b"{}")


async def test_the_api_gets_the_whole_path(node: Gateway, services: dict[str, Provider]) -> None:
    reply = await node.request("GET", "/api/v1/things", ADMIN)
    assert reply.status == 200
    assert services["fastapi"].received[-1].target == "/api/v1/things"
    assert "x-cache-status" not in reply.headers


@pytest.mark.parametrize(
    ("path", "minute", "hour"),
    [*((f"/llm/{name}", *limits[1:]) for name, limits in PROVIDERS.items()), ("/api", 10_000, 100_000)],
)
async def test_every_service_has_limits_of_its_own(node: Gateway, path: str, minute: int, hour: int) -> None:
    reply = await node.request("GET", f"{path}/limits", ADMIN)
    assert reply.headers["x-ratelimit-limit-minute"] == str(minute)
    assert reply.headers["x-ratelimit-limit-hour"] == str(hour)
    assert int(reply.headers["x-ratelimit-remaining-hour"]) < hour


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("192.168.1.77", 200), ("192.168.2.1", 403), ("203.0.113.9", 403)],
)
async def test_anthropic_is_for_some_addresses_only(node: Gateway, address: str, status: int) -> None:
    headers = ADMIN | {"X-Forwarded-For": address}
    assert (await node.request("POST", "/llm/anthropic/ip", headers)).status == status
    assert (await node.request("POST", "/llm/deepseek/ip", headers)).status == 200


@pytest.mark.parametrize("name", PROVIDERS)
async def test_answers_are_kept_for_the_next_who_asks(
    node: Gateway, services: dict[str, Provider], name: str
) -> None:
    first = await node.request("GET", f"/llm/{name}/kept", ADMIN)
    again = await node.request("GET", f"/llm/{name}/kept", ADMIN)
    assert first.headers["x-cache-status"] == "Miss"
    assert again.headers["x-cache-status"] == "Hit"
    assert again.body == first.body
    targets = [received.target for received in services[name].received]
    assert targets.count("/kept") == 1
    assert (await node.request("POST", f"/llm/{name}/kept", ADMIN)).headers["x-cache-status"] == "Bypass"


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_is_asked_up_to_three_times_more(
    node: Gateway, services: dict[str, Provider], name: str
) -> None:
    server = services[name]
    server.failures = 3
    assert (await node.request("GET", f"/llm/{name}/flaky", ADMIN)).status == 200
    assert [received.target for received in server.received].count("/flaky") == 4
    server.failures = 4
    assert (await node.request("GET", f"/llm/{name}/down", ADMIN)).status == 503
    assert [received.target for received in server.received].count("/down") == 4
    server.failures = 0


async def test_the_api_is_not_asked_again(node: Gateway, services: dict[str, Provider]) -> None:
    services["fastapi"].failures = 1
    assert (await node.request("GET", "/api/flaky", ADMIN)).status == 503
    services["fastapi"].failures = 0
