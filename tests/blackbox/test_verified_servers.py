"""Servers that plugins talk to over TLS are verified where `ssl_verify` says so: http-log, openid-connect."""

from collections.abc import AsyncIterator
from time import time

import pytest
import yaml
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.identity import Provider
from tests.support.upstream import Upstream

CASES = {"default": dict[str, bool](), "verified": {"ssl_verify": True}, "unverified": {"ssl_verify": False}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def collector(authority: Authority) -> AsyncIterator[Upstream]:
    server = await Upstream().start(authority.issue("127.0.0.1").server_context())
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def provider(authority: Authority) -> AsyncIterator[Provider]:
    provider = await Provider().start(authority.issue("127.0.0.1").server_context())
    yield provider
    await provider.stop()


def config(upstream: Upstream, collector: Upstream, provider: Provider) -> str:
    routes = []
    for name, settings in CASES.items():
        endpoint = f"https://127.0.0.1:{collector.port}/{name}"
        sending = {"http_endpoint": endpoint, "queue": {"max_retry_time": 0}, **settings}
        proving = {"issuer": provider.issuer, "rediscovery_lifetime": 0, **settings}
        routes += [
            {"paths": [f"/log/{name}"], "plugins": [{"name": "http-log", "config": sending}]},
            {"paths": [f"/who/{name}"], "plugins": [{"name": "openid-connect", "config": proving}]},
        ]
    services = [{"url": upstream.url, "routes": routes}]
    return yaml.safe_dump({"_format_version": "3.0", "services": services})


@pytest.fixture(scope="module", params=[False, True], ids=["stranger", "trusted"])
def trusts(request: pytest.FixtureRequest) -> bool:
    """Whether the node trusts the authority that vouches for the servers."""
    return bool(request.param)


@pytest.fixture(scope="module")
async def node(
    trusts: bool,
    upstream: Upstream,
    collector: Upstream,
    provider: Provider,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    trusted = authority if trusts else Authority(tmp_path_factory.mktemp("others"))
    gateway = await Gateway.start(
        config(upstream, collector, provider), environment={"SSL_CERT_FILE": str(trusted.file)}
    )
    yield gateway
    await gateway.stop()


async def test_http_log_sends_only_to_whom_it_may(node: Gateway, trusts: bool, collector: Upstream) -> None:
    collector.received.clear()
    for name in CASES:
        await node.request("GET", f"/log/{name}")

    await collector.until(1, "/unverified")
    await collector.until(1, "/default")
    if trusts:
        await collector.until(1, "/verified")
    else:
        await node.until_logged("http-log")
        assert "/verified" not in {received.target for received in collector.received}


async def test_openid_connect_asks_only_whom_it_may(node: Gateway, trusts: bool, provider: Provider) -> None:
    token = provider.token({"sub": "u-1", "exp": int(time()) + 60})
    headers = {"Authorization": f"Bearer {token}"}

    statuses = {name: (await node.request("GET", f"/who/{name}", headers)).status for name in CASES}

    assert statuses["unverified"] == 200
    assert [status == 200 for status in statuses.values()] == [trusts, trusts, True]
