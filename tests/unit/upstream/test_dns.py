"""Names: answers kept for their time, by a clock that the test turns.

c-ares keeps answers too, by the real clock; not those without a time to live, which count as a second here.
"""

from collections.abc import AsyncIterator

import pytest
from tests.support.dns import NAME_ERROR, SERVER_FAILURE, NameServer, Zone

from tollhouse.pdk.tasks import Tasks
from tollhouse.upstream.dns import Lifetimes, Resolver


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    server = await NameServer().start()
    yield server
    await server.stop()


def resolver(names: NameServer, clock: Clock, **lifetimes: float) -> Resolver:
    return Resolver(clock, Tasks(), Lifetimes(**lifetimes), [names.address])  # type: ignore[arg-type]


async def test_an_answer_is_fresh_for_its_own_time(names: NameServer) -> None:
    clock = Clock()
    asking = resolver(names, clock)
    names.zones["a.test"] = Zone(("10.0.0.1",), seconds=30)

    assert asking.known("a.test") == ()
    assert await asking.resolve("a.test") == ("10.0.0.1",)
    clock.now += 29
    assert asking.known("a.test") == ("10.0.0.1",)
    assert names.times("a.test") == 1


async def test_an_old_answer_stands_in_and_is_renewed(names: NameServer) -> None:
    clock = Clock()
    asking = resolver(names, clock, stale=100)
    names.zones["a.test"] = Zone(("10.0.0.1",), seconds=0)
    await asking.resolve("a.test")
    names.zones["a.test"] = Zone(("10.0.0.2",), seconds=0)
    clock.now += 2

    assert asking.known("a.test") == ("10.0.0.1",)
    await names.until_asked("a.test", 2)
    assert await asking._ask("a.test")
    assert asking.known("a.test") == ("10.0.0.2",)


async def test_an_answer_too_old_does_not_stand_in(names: NameServer) -> None:
    clock = Clock()
    asking = resolver(names, clock, stale=100)
    names.zones["a.test"] = Zone(("10.0.0.1",), seconds=0)
    await asking.resolve("a.test")
    names.zones["a.test"] = Zone(code=SERVER_FAILURE)
    clock.now += 102

    assert await asking.resolve("a.test") == ()
    assert asking.failure("a.test") == "dns server error: 2 server failure"


async def test_a_lifetime_of_our_own_wins(names: NameServer) -> None:
    clock = Clock()
    asking = resolver(names, clock, valid=5, stale=0)
    names.zones["a.test"] = Zone(("10.0.0.1",), seconds=3000)
    await asking.resolve("a.test")

    clock.now += 6

    assert asking.known("a.test") == ()


@pytest.mark.parametrize(("zone", "seconds"), [(Zone(code=NAME_ERROR), 30), (Zone(code=SERVER_FAILURE), 1)])
async def test_a_failure_is_remembered_for_its_time(names: NameServer, zone: Zone, seconds: float) -> None:
    clock = Clock()
    asking = resolver(names, clock)
    names.zones["a.test"] = zone
    await asking.resolve("a.test")
    names.zones["a.test"] = Zone(("10.0.0.1",))

    clock.now += seconds - 0.5
    assert await asking.resolve("a.test") == ()
    clock.now += 1
    assert await asking.resolve("a.test") == ("10.0.0.1",)


async def test_ipv4_is_preferred(names: NameServer) -> None:
    names.zones["both.test"] = Zone(("2001:db8::1", "10.0.0.1"))
    names.zones["six.test"] = Zone(("2001:db8::1",))
    asking = resolver(names, Clock())

    assert await asking.resolve("both.test") == ("10.0.0.1",)
    assert await asking.resolve("six.test") == ("2001:db8::1",)


async def test_no_more_names_are_kept_than_allowed(names: NameServer) -> None:
    asking = resolver(names, Clock(), entries=2)
    for name in ("a.test", "b.test", "c.test"):
        names.zones[name] = Zone(("10.0.0.1",))
        await asking.resolve(name)

    assert [bool(asking.known(name)) for name in ("a.test", "b.test", "c.test")] == [False, True, True]
