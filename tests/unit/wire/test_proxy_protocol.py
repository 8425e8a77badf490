"""The PROXY protocol: who the client is, read from however much has come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.wire.proxy_protocol import Told, read_proxy_head

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V6 = bytes(15) + b"\x01"


def second(command: int, family: int, rest: bytes, version: int = 2) -> bytes:
    return SIGNATURE + bytes((version * 16 + command, family)) + len(rest).to_bytes(2) + rest


HEADS = {
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n": "10.0.0.1",
    b"PROXY TCP6 2001:DB8::1 ::1 65535 443\r\n": "2001:db8::1",
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN a b c d\r\n": None,
    second(1, 0x11, bytes((10, 0, 0, 9)) + bytes(8)): "10.0.0.9",
    second(1, 0x21, V6 + bytes(20)): "::1",
    second(1, 0x21, V6 + bytes(20) + b"\x04\x00\x02ab"): "::1",
    second(0, 0x11, bytes(12)): None,
    second(0, 0x00, b""): None,
    second(1, 0x31, bytes(216)): None,
}


@given(st.sampled_from(sorted(HEADS)), st.binary(max_size=20), st.data())
def test_a_head_is_read_once_it_is_whole(head: bytes, rest: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(head) - 1))
    assert read_proxy_head(head[:cut]) is None
    assert read_proxy_head(head + rest) == Told(len(head), HEADS[head])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        b"PROXY TCP4 10.0.0.1\r\n",
        b"PROXY TCP4 ten 10.0.0.2 1 2\r\n",
        b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 120,
        second(1, 0x11, bytes(11)),
        second(1, 0x11, bytes(12), version=1),
        second(2, 0x11, bytes(12)),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_no_head(data: bytes) -> None:
    with pytest.raises(PeerError, match="PROXY protocol"):
        read_proxy_head(data)


@given(st.binary(max_size=150))
def test_anything_is_read_or_refused(data: bytes) -> None:
    try:
        told = read_proxy_head(data)
    except PeerError:
        return
    assert told is None or told.size <= len(data)
