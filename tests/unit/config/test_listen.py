"""Listening addresses, for HTTP and for connections without it."""

import pytest

from tollhouse.config.listen import Listen, parse_listens, parse_proxy_listens, parse_stream_listens


def test_addresses_for_http() -> None:
    assert parse_listens("off") == ()
    assert parse_listens("0.0.0.0:8000 reuseport backlog=511, [::]:8443 http2 ssl, unix:/a.sock") == (
        Listen("0.0.0.0", 8000, backlog=511),
        Listen("::", 8443, tls=True, http2=True),
        Listen("", 0, path="/a.sock"),
    )


def test_addresses_for_connections_without_http() -> None:
    assert parse_stream_listens("off") == ()
    assert parse_stream_listens("127.0.0.1:1, 127.0.0.1:2 ssl so_keepalive=on, [::]:53 udp reuseport") == (
        Listen("127.0.0.1", 1, stream=True),
        Listen("127.0.0.1", 2, tls=True, stream=True),
        Listen("::", 53, stream=True, udp=True),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("127.0.0.1:1 http2", "unknown listen flag 'http2'"),
        ("127.0.0.1:1 proxy_protocol", "only listeners of the proxy take the PROXY protocol"),
        ("127.0.0.1:1 ssl udp", "`udp` goes neither with `ssl`"),
        ("unix:/a.sock udp", "`udp` goes neither with `ssl` nor with a Unix socket"),
        ("127.0.0.1", "is not an address like 0.0.0.0:8000"),
        ("127.0.0.1:65536", "is not an address like 0.0.0.0:8000"),
    ],
)
def test_what_no_listener_without_http_can_be(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_stream_listens(text)


def test_the_proxys_clients_may_be_named_by_a_balancer() -> None:
    assert parse_proxy_listens("127.0.0.1:1 ssl proxy_protocol, unix:/a.sock proxy_protocol") == (
        Listen("127.0.0.1", 1, tls=True, proxy_protocol=True),
        Listen("", 0, path="/a.sock", proxy_protocol=True),
    )
    assert parse_proxy_listens("off") == ()
    with pytest.raises(ValueError, match="only listeners of the proxy"):
        parse_listens("127.0.0.1:1 proxy_protocol")


def test_a_listener_for_http_takes_no_datagrams() -> None:
    with pytest.raises(ValueError, match="unknown listen flag 'udp'"):
        parse_listens("127.0.0.1:1 udp")
