from typing import Any

import pytest

from tollhouse.llm.credentials import Credentials
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Auth
from tollhouse.wire.headers import Headers

KEY = Auth(header_name="Authorization", header_value="Bearer sk-gateway")
ENCODINGS = "gzip, identity"


def sent(
    auth: Auth | None, client: dict[str, str], *, provider: str = "ollama", read: bool = True
) -> dict[str, Any]:
    headers = Headers.new({"content-type": "application/json", **client}.items())
    Credentials(auth, PROVIDERS[provider]).put_in_headers(headers, answer_is_read=read)
    lines = headers.without(frozenset({"content-type"})).decode().split("\r\n")[:-1]
    found = [line.lower().partition(": ")[0] for line in lines]
    assert len(found) == len(set(found)), "a field twice"
    return {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}


@pytest.mark.parametrize("client", [{}, {"authorization": "Bearer mine"}, {"Authorization": "Bearer mine"}])
def test_the_gateway_s_key_takes_the_place_of_the_client_s(client: dict[str, str]) -> None:
    assert sent(KEY, client) == {"authorization": "Bearer sk-gateway"}


def test_with_override_a_client_may_bring_its_own() -> None:
    auth = Auth(header_name="Authorization", header_value="Bearer sk-gateway", allow_override=True)

    assert sent(auth, {"authorization": "Bearer mine"}) == {"authorization": "Bearer mine"}
    assert sent(auth, {}) == {"authorization": "Bearer sk-gateway"}


CLIENT = {
    "authorization": "AWS4-HMAC-SHA256 Credential=mine",
    "x-amz-date": "20260101T000000Z",
    "x-amz-security-token": "mine",
    "x-goog-api-key": "mine",
    "x-api-key": "mine",
    "api-key": "mine",
    "apikey": "mine",
    "cookie": "session=mine",
}


@pytest.mark.parametrize("auth", [None, KEY, Auth(header_name="x-api-key", header_value="theirs")])
def test_nothing_that_shows_who_the_client_is_gets_to_a_provider(auth: Auth | None) -> None:
    found = sent(auth, {**CLIENT, "anthropic-beta": "b"})

    assert "mine" not in str(found)
    assert found["anthropic-beta"] == "b"


def test_with_override_only_the_key_in_its_place_gets_through() -> None:
    auth = Auth(header_name="x-api-key", header_value="theirs", allow_override=True)
    assert sent(auth, CLIENT) == {"x-api-key": "mine"}
    assert sent(Auth(allow_override=True), CLIENT) == CLIENT


@pytest.mark.parametrize(
    ("auth", "query", "expected"),
    [
        (None, "key=mine&alt=sse&a=1", "a=1"),
        (KEY, "a=1&api-key=mine", "a=1"),
        (Auth(allow_override=True), "key=mine", "key=mine"),
        (Auth(param_name="key", param_value="theirs", param_location="query"), "key=mine", "key=theirs"),
    ],
)
def test_keys_in_the_query_stay_here(auth: Auth | None, query: str, expected: str) -> None:
    assert Credentials(auth, PROVIDERS["gemini"]).put_in_query(query) == expected


@pytest.mark.parametrize(
    ("provider", "client", "read", "encodings"),
    [
        # Kong asks OpenAI for gzip even if the client does not.
        ("openai", {}, True, ENCODINGS),
        ("openai", {"accept-encoding": "br"}, True, ENCODINGS),
        ("ollama", {}, True, None),
        ("ollama", {"accept-encoding": "br, zstd"}, True, ENCODINGS),
        # What is passed on as it comes must be what the client can read.
        ("openai", {}, False, None),
        ("openai", {"accept-encoding": "br"}, False, "br"),
    ],
)
def test_providers_choose_from_encodings_that_can_be_read(
    provider: str, client: dict[str, str], read: bool, encodings: str | None
) -> None:
    found = sent(None, client, provider=provider, read=read)

    assert found.get("accept-encoding") == encodings


def test_a_body_always_has_a_type() -> None:
    headers = Headers.new()
    Credentials(None, PROVIDERS["ollama"]).put_in_headers(headers, answer_is_read=True)

    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("override", "query", "expected"),
    [
        (False, "", "key=s%2F1"),
        (False, "a=1&b", "a=1&b&key=s%2F1"),
        (False, "key=mine&a=1", "a=1&key=s%2F1"),
        (False, "k%65y=mine", "key=s%2F1"),
        (True, "key=mine&a=1", "key=mine&a=1"),
        (True, "a=1", "a=1&key=s%2F1"),
    ],
)
def test_a_key_in_the_query(override: bool, query: str, expected: str) -> None:
    auth = Auth(param_name="key", param_value="s/1", param_location="query", allow_override=override)
    credentials = Credentials(auth, PROVIDERS["openai"])

    assert credentials.in_query
    assert not credentials.in_body
    assert credentials.put_in_query(query) == expected
    assert credentials.hidden(f"/v1?{expected}") == f"/v1?{expected.replace('s%2F1', '***')}"


@pytest.mark.parametrize(
    ("override", "body", "expected"),
    [
        (False, b"{}", b'{"key":"s\\"1"}'),
        (False, b'{"key":"mine"}', b'{"key":"s\\"1"}'),
        (True, b'{"key":"mine"}', b'{"key":"mine"}'),
    ],
)
def test_a_key_in_the_body(override: bool, body: bytes, expected: bytes) -> None:
    auth = Auth(param_name="key", param_value='s"1', param_location="body", allow_override=override)
    credentials = Credentials(auth, PROVIDERS["openai"])
    members = forward.members_of(body)

    credentials.put_in_body(members)

    assert credentials.in_body
    assert forward.body_of(members) == expected


def test_without_settings_nothing_is_added() -> None:
    credentials = Credentials(None, PROVIDERS["ollama"])
    members = forward.members_of(b'{"a":1}')
    credentials.put_in_body(members)

    assert forward.body_of(members) == b'{"a":1}'
    assert credentials.put_in_query("a=1") == "a=1"
    assert not credentials.in_body
    assert not credentials.in_query
