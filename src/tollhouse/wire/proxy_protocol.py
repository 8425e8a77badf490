"""What a balancer in front says of a connection before its first byte: the PROXY protocol, versions 1 and 2.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from tollhouse.errors import PeerError

#: so much is enough for any head that is accepted: version 2 may carry more than addresses
LIMIT_BYTES: Final = 4096
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED_BYTES: Final = 16
_FIRST: Final = b"PROXY "
_FIRST_LIMIT_BYTES: Final = 107
#: bytes of an address by the family in version 2; others, such as Unix sockets, name nobody
_ADDRESS_BYTES: Final = {1: 4, 2: 16}
_BY_PROXY: Final = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A head of so many bytes, and the client that it names; none where the balancer speaks for itself."""

    size: int
    client_ip: str | None = None


def read_proxy_head(data: bytes) -> Told | None:
    """What the beginning of a connection says; `None` if there has to be more. Raises `PeerError`."""
    if data.startswith(_SIGNATURE[: len(data)]):
        return _second(data) if len(data) >= _FIXED_BYTES else None
    if not data.startswith(_FIRST[: len(data)]):
        raise PeerError("the PROXY protocol was expected")
    end = data.find(b"\r\n", 0, _FIRST_LIMIT_BYTES)
    if end < 0:
        if len(data) >= _FIRST_LIMIT_BYTES:
            raise PeerError("a line of the PROXY protocol that does not end")
        return None
    words = data[len(_FIRST) : end].decode("latin-1").split(" ")
    if words[0] == "UNKNOWN":
        return Told(end + 2)
    if len(words) != 5 or words[0] not in ("TCP4", "TCP6"):
        raise PeerError("a line of the PROXY protocol that says nothing known")
    try:
        return Told(end + 2, str(ipaddress.ip_address(words[1])))
    except ValueError:
        raise PeerError("a line of the PROXY protocol without an address") from None


def _second(data: bytes) -> Told | None:
    version, command = divmod(data[12], 16)
    if version != 2 or command > _BY_PROXY:
        raise PeerError("an unknown version of the PROXY protocol")
    size = _FIXED_BYTES + int.from_bytes(data[14:16])
    if size > LIMIT_BYTES:
        raise PeerError("a head of the PROXY protocol that is too long")
    if len(data) < size:
        return None
    address = _ADDRESS_BYTES.get(data[13] >> 4)
    if command != _BY_PROXY or address is None:
        return Told(size)
    if size < _FIXED_BYTES + 2 * address + 4:
        raise PeerError("a head of the PROXY protocol without its addresses")
    source = data[_FIXED_BYTES : _FIXED_BYTES + address]
    return Told(size, str(ipaddress.ip_address(source)))
