"""Names of targets: addresses first, SRV records where there are none."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.dns import NameServer, Zone

from tollhouse.pdk.tasks import Tasks
from tollhouse.upstream.dns import Lifetimes, Resolver
from tollhouse.upstream.target_names import TargetNames, TargetRecord


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    names = await NameServer().start()
    yield names
    await names.stop()


def looking(server: NameServer, clock: Clock) -> TargetNames:
    return TargetNames(Resolver(clock, Tasks(), Lifetimes(), [server.address]))


async def test_a_name_with_addresses(server: NameServer) -> None:
    names = looking(server, Clock())
    server.zones["a.test"] = Zone(("10.0.0.1", "10.0.0.2"))
    assert names.known("a.test") is None
    expected = {TargetRecord("10.0.0.1"), TargetRecord("10.0.0.2")}
    assert set(await names.resolve("a.test")) == expected
    assert set(names.known("a.test") or ()) == expected


@pytest.mark.parametrize("name", ["_http._tcp.a.test", "only-services.test"])
async def test_services_have_ports_and_weights_of_the_best_priority(server: NameServer, name: str) -> None:
    names = looking(server, Clock())
    server.zones[name] = Zone(
        services=((1, 30, 8001, "one.test"), (1, 0, 8002, "two.test"), (2, 9, 8003, "spare.test"))
    )
    server.zones["one.test"] = Zone(("10.0.0.1",))
    server.zones["two.test"] = Zone(("10.0.0.2",))
    server.zones["spare.test"] = Zone(("10.0.0.3",))
    assert set(await names.resolve(name)) == {
        TargetRecord("10.0.0.1", 8001, 30, "one.test"),
        TargetRecord("10.0.0.2", 8002, 1, "two.test"),
    }


async def test_a_name_that_leads_nowhere(server: NameServer) -> None:
    names = looking(server, Clock())
    assert await names.resolve("none.test") == ()
    assert names.known("none.test") == ()


async def test_services_are_renewed_while_the_old_ones_serve(server: NameServer) -> None:
    clock = Clock()
    names = looking(server, clock)
    server.zones["_s.test"] = Zone(services=((1, 1, 80, "one.test"),), seconds=5)
    server.zones["one.test"] = Zone(("10.0.0.1",))
    await names.resolve("_s.test")
    server.zones["_s.test"] = Zone(services=((1, 1, 81, "one.test"),), seconds=5)
    clock.now += 6
    assert names.known("_s.test") == (TargetRecord("10.0.0.1", 80, 1, "one.test"),)
    async with asyncio.timeout(10):
        while names.known("_s.test") != (TargetRecord("10.0.0.1", 81, 1, "one.test"),):
            await asyncio.sleep(0.01)
            clock.now += 1
