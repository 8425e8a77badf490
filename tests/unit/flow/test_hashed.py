"""What consistent hashing takes of a request, as Kong does."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.flow.test_forwarded import asked

from tollhouse.flow.hashed import hashed_by
from tollhouse.model.entities import Upstream
from tollhouse.pdk.exchange import ClientSide, Exchange
from tollhouse.pdk.messages import Request
from tollhouse.wire.http1 import RequestReader


def hashed(request: Request, **fields: Any) -> str | None:
    upstream = Upstream(**{"id": "u", "created_at": 0, "updated_at": 0, "name": "pool", **fields})
    return hashed_by(upstream)(
        Exchange(cast(ClientSide, SimpleNamespace(peer_ip="10.0.0.1")), request, "id", 0.0)
    )


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("q=123", "123"),
        ("q", "true"),
        ("q=", ""),
        ("other=1", ""),
        ("q=b&q=a&q=c", "a,b,c"),
        ("q=s&q&q=1&q=", ",1,s,true"),
        ("%71=%7B%7D", "{}"),
    ],
)
def test_query_arguments(query: str, value: str) -> None:
    request = RequestReader(Request).read(f"GET /?{query} HTTP/1.1\r\nHost: a".encode())
    assert hashed(request, hash_on="query_arg", hash_on_query_arg="q") == value


def test_what_has_no_value_falls_back() -> None:
    request = RequestReader(Request).read(b"GET /root/..//%2e/sub/./x?q= HTTP/1.1\r\nHost: a")
    assert hashed(request, hash_on="query_arg", hash_on_query_arg="q", hash_fallback="ip") == "10.0.0.1"
    assert hashed(request, hash_on="path") == "/sub/x"


def test_lines_of_a_header_are_joined() -> None:
    request = asked("1st", "2nd")
    assert hashed(request, hash_on="header", hash_on_header="X-Forwarded-For") == "1st, 2nd"
