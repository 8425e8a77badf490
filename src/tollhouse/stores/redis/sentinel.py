"""Where a server is, by what sentinels say (https://redis.io/docs/latest/develop/reference/sentinel-clients/)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tollhouse.stores.redis.connection import Lost
from tollhouse.stores.redis.place import Address, Login, Place
from tollhouse.stores.redis.server import asked_once

#: replicas that a sentinel lists but that nobody should use
_UNFIT: Final = frozenset({"s_down", "o_down", "disconnected"})


def finder(place: Place) -> Callable[[], Awaitable[Address]]:
    """What `Server` asks before every attempt. It raises `Lost` where no sentinel knows."""

    async def find() -> Address:
        why = "no sentinel answers"
        for address in place.addresses:
            try:
                async with asyncio.timeout(place.connect_seconds / len(place.addresses)):
                    found = await _by_sentinel(place, address)
                    if place.role == "master":
                        await _check_master(place, found)
                    return found
            except (OSError, Lost) as error:
                why = f"sentinel {address[0]}:{address[1]}: {error or type(error).__name__}"
        raise Lost(why)

    return find


async def _by_sentinel(place: Place, sentinel: Address) -> Address:
    name, login = str(place.master), place.sentinel_login
    replicas: list[Address] = []
    if place.role != "master":
        listed = await asked_once(place, sentinel, login, ("SENTINEL", "REPLICAS", name))
        replicas = [
            _address(entry) for entry in map(_pairs, listed) if not _UNFIT & set(entry["flags"].split(","))
        ]
    if place.role == "slave" and not replicas:
        raise Lost(f"{name} has no replica")
    if replicas and place.role == "slave":
        return random.choice(replicas)  # noqa: S311 - nothing to guess
    found = await asked_once(place, sentinel, login, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name))
    if found is None:
        raise Lost(f"it knows no master {name}")
    master = (found[0].decode(), int(found[1]))
    return random.choice([master, *replicas])  # noqa: S311


async def _check_master(place: Place, address: Address) -> None:
    """A sentinel may be behind: the server itself has the last word."""
    role = await asked_once(place, address, Login(place.login.username, place.login.password), ("ROLE",))
    if role[0] != b"master":
        raise Lost(f"{address[0]}:{address[1]} is no master")


def _pairs(flat: list[Any]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def _address(entry: dict[str, str]) -> Address:
    return entry["ip"], int(entry["port"])
