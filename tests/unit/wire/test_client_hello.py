"""ClientHello messages of a real TLS library, cut anywhere, spread over records, and broken."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.wire.client_hello import ClientHello, read_client_hello


def said(name: str | None, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL says first to a server of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


HELLO = said("db.shop.test")
LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)


def records(message: bytes, sizes: list[int]) -> bytes:
    """A handshake message as records of these many bytes, and one with what is left."""
    pieces = []
    for size in sizes:
        pieces.append(message[:size])
        message = message[size:]
    pieces.append(message)
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces if piece)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_that_a_client_asks_for_is_read(newest: ssl.TLSVersion) -> None:
    assert read_client_hello(said("a.test", newest=newest)) == ClientHello("a.test")
    assert read_client_hello(said(None, newest=newest)) == ClientHello(None)


@given(st.lists(LABELS, min_size=1, max_size=6).map(".".join))
def test_any_name_is_read(name: str) -> None:
    assert read_client_hello(said(name)) == ClientHello(name)


def test_names_are_compared_in_lower_case_and_without_the_last_dot() -> None:
    assert read_client_hello(HELLO.replace(b"db.shop.test", b"DB.Shop.tes.")) == ClientHello("db.shop.tes")


@pytest.mark.parametrize("length", range(len(HELLO)))
def test_a_beginning_asks_for_more(length: int) -> None:
    assert read_client_hello(HELLO[:length]) is None


@given(st.binary(max_size=50))
def test_what_follows_is_not_looked_at(more: bytes) -> None:
    assert read_client_hello(HELLO + more) == ClientHello("db.shop.test")


@given(st.lists(st.integers(1, 300), max_size=30), st.data())
def test_a_message_in_several_records_is_read_as_one(sizes: list[int], data: st.DataObject) -> None:
    spread = records(HELLO[5:], sizes)

    assert read_client_hello(spread) == ClientHello("db.shop.test")
    cut = data.draw(st.integers(0, len(spread) - 1))
    assert read_client_hello(spread[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="HTTP"),
        pytest.param(b"\x16\x02\x01\x00\x05", id="version 2"),
        pytest.param(b"\x15\x03\x03\x00\x02\x01\x00", id="an alert"),
        pytest.param(b"\x16\x03\x01\x00\x00", id="an empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01", id="too large a record"),
        pytest.param(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", id="a ServerHello"),
        pytest.param(b"\x16\x03\x01\x00\x04\x01\x01\x00\x00", id="too large a message"),
        pytest.param(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", id="a message without fields"),
    ],
)
def test_what_is_no_client_hello_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(PeerError):
        read_client_hello(data)


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_broken_byte_never_breaks_the_reader(place: int, value: int) -> None:
    broken = bytearray(HELLO)
    broken[place] = value
    try:
        read_client_hello(bytes(broken))
    except PeerError as error:
        assert str(error)  # noqa: PT017 - either is right
