"""A name server over UDP that answers what it is told, and remembers what it was asked."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import cast

A, AAAA, SRV = 1, 28, 33
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED = range(6)


@dataclass(slots=True)
class Zone:
    """What is said of one name."""

    addresses: tuple[str, ...] = ()
    seconds: int = 60
    code: int = NO_ERROR
    #: SRV records: priority, weight, port, host
    services: tuple[tuple[int, int, int, str], ...] = ()
    #: no answer at all
    silent: bool = False


@dataclass(slots=True)
class NameServer(asyncio.DatagramProtocol):
    """Names that are not in `zones` do not exist."""

    zones: dict[str, Zone] = field(default_factory=dict)
    #: names asked for with type A, in order
    asked: list[str] = field(default_factory=list)
    _transport: asyncio.DatagramTransport | None = None
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> "NameServer":
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self

    @property
    def address(self) -> str:
        assert self._transport is not None
        return "127.0.0.1:{}".format(self._transport.get_extra_info("sockname")[1])

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self._gone.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()

    def times(self, name: str) -> int:
        return self.asked.count(name)

    async def until_asked(self, name: str, times: int) -> None:
        async with asyncio.timeout(20):
            while self.times(name) < times:
                self._changed.clear()
                await self._changed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _name(data, 12)
        kind = struct.unpack_from("!H", data, end)[0]
        if kind == A:
            self.asked.append(name)
            self._changed.set()
        zone = self.zones.get(name, Zone(code=NAME_ERROR))
        if zone.silent or self._transport is None:
            return
        records = b"".join(_records(zone, kind))
        count = len(zone.services) if kind == SRV else sum(_kind(each) == kind for each in zone.addresses)
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | zone.code, 1, count, 0, 0)
        self._transport.sendto(head + data[12 : end + 4] + records, addr)


def _kind(address: str) -> int:
    return AAAA if ":" in address else A


def _records(zone: Zone, kind: int) -> list[bytes]:
    found = []
    for priority, weight, port, host in zone.services if kind == SRV else ():
        labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"
        data = struct.pack("!HHH", priority, weight, port) + labels
        found.append(struct.pack("!HHHIH", 0xC00C, SRV, 1, zone.seconds, len(data)) + data)
    for address in zone.addresses:
        if _kind(address) == kind:
            packed = socket.inet_pton(socket.AF_INET6 if kind == AAAA else socket.AF_INET, address)
            found.append(struct.pack("!HHHIH", 0xC00C, kind, 1, zone.seconds, len(packed)) + packed)
    return found


def _name(data: bytes, place: int) -> tuple[str, int]:
    labels = []
    while length := data[place]:
        labels.append(data[place + 1 : place + 1 + length].decode().lower())
        place += 1 + length
    return ".".join(labels), place + 1
