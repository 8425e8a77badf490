"""Arguments in request bodies: found in each kind, and taken out without touching the rest."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollhouse.pdk.body import body_arguments, without_body_arguments
from tollhouse.pdk.messages import Request
from tollhouse.wire.headers import Headers

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=b0"
PARTS = (
    b'--b0\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--b0\r\nContent-Disposition: form-data; name="key"; filename="a"\r\n'
    b"Content-Type: text/plain\r\n\r\nsecret\r\n"
    b"--b0\r\ncontent-disposition: form-data; name=key2\r\n\r\nx\r\n--b0--\r\n"
)


def request(content_type: str, content: bytes) -> Request:
    made = Request()
    made.headers = Headers.new((("Content-Type", content_type),))
    made.content = content
    return made


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        (FORM, b"a=1&b=&c&a=2&a=3&%C3%A9=+", {"a": ["1", "2", "3"], "b": "", "c": True, "Ã©": " "}),
        (JSON, b'{"a": 1, "b": [1], "c": "x"}', {"a": 1, "b": [1], "c": "x"}),
        (JSON, '{"a": "é"}'.encode(), {"a": "Ã©"}),
        (JSON + "; charset=utf-8", b'{"a": null}', {"a": None}),
        (JSON, b"[1]", {}),
        (JSON, b"{", {}),
        (JSON, b"", {}),
        (MULTIPART, PARTS, {"a": "1", "key": "secret", "key2": "x"}),
        (MULTIPART, b"", {}),
        ("multipart/form-data", PARTS, {}),
        ("text/plain", b"a=1", {}),
        ("", b"a=1", {}),
    ],
)
def test_arguments_are_found(content_type: str, content: bytes, expected: dict[str, Any]) -> None:
    assert body_arguments(request(content_type, content)) == expected


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        (FORM, b"a=%7E&key=1&b&key=2&", b"a=%7E&b&"),
        (JSON, b'{"a":1.50,"key":"s","b":{"key":1}}', b'{"a":1.50,"b":{"key":1}}'),
        ("text/plain", b"key=1", b"key=1"),
    ],
)
def test_arguments_are_taken_out_and_the_rest_stays(
    content_type: str, content: bytes, expected: bytes
) -> None:
    assert without_body_arguments(request(content_type, content), frozenset({"key"})) == expected


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ({"key"}, {"a", "key2"}),
        ({"key2"}, {"a", "key"}),
        ({"key", "key2"}, {"a"}),
        ({"b0"}, {"a", "key", "key2"}),
    ],
)
def test_parts_are_taken_out_whole(names: set[str], left: set[str]) -> None:
    content = without_body_arguments(request(MULTIPART, PARTS), frozenset(names))

    assert set(body_arguments(request(MULTIPART, content))) == left
    assert (b"secret" in content) == ("key" in left)
    assert content.endswith(b"--b0--\r\n")


values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=2)


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
@settings(max_examples=50)
def test_json_without_a_member_is_the_same_json(document: dict[str, Any]) -> None:
    content = msgspec.json.encode({**document, "key": "s"})

    left = without_body_arguments(request(JSON, content), frozenset({"key"}))

    assert msgspec.json.decode(left) == {name: document[name] for name in document if name != "key"}


@given(st.sampled_from([FORM, JSON, MULTIPART, "multipart/form-data; boundary="]), st.binary(max_size=300))
def test_no_bytes_are_too_strange(content_type: str, content: bytes) -> None:
    arguments = body_arguments(request(content_type, content))

    assert isinstance(arguments, dict)
    if arguments:
        without_body_arguments(request(content_type, content), frozenset({"key"}))
