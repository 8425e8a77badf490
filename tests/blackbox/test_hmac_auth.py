"""hmac-auth: signatures made here by the draft, and what of them is accepted."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from time import time

import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: plain, paths: [/plain], plugins: [{{name: hmac-auth}}]}}
  - {{name: skew, paths: [/skew], plugins: [{{name: hmac-auth, config: {{clock_skew: 5}}}}]}}
  - {{name: hide, paths: [/hide], plugins: [{{name: hmac-auth, config: {{hide_credentials: true}}}}]}}
  - {{name: realm, paths: [/realm], plugins: [{{name: hmac-auth, config: {{realm: the keep}}}}]}}
  - {{name: few, paths: [/few], plugins: [{{name: hmac-auth, config: {{algorithms: [hmac-sha512]}}}}]}}
  - {{name: enforce, paths: [/enforce], plugins: [{{name: hmac-auth,
      config: {{enforce_headers: [date, "@request-target"]}}}}]}}
  - {{name: body, paths: [/body], plugins: [{{name: hmac-auth, config: {{validate_request_body: true}}}}]}}
  - {{name: anonymous, paths: [/anonymous], plugins: [{{name: hmac-auth, config: {{anonymous: nobody}}}}]}}
consumers:
- {{username: alice, hmacauth_credentials: [{{username: al, secret: s3cret}}]}}
- {{username: nobody}}
"""
NOT_VALID = "HMAC signature cannot be verified"
NOT_SAME = "HMAC signature does not match"
NO_DATE = f"{NOT_VALID}, a valid date or x-date header is required for HMAC Authentication"


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


def signed(
    method: str,
    path: str,
    names: str = "date",
    algorithm: str = "hmac-sha256",
    key: str = "s3cret",
    user: str = "al",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Headers of a signed request."""
    fields = {"date": formatdate(usegmt=True), **(headers or {})}
    special = {
        "request-line": f"{method} {path} HTTP/1.1",
        "@request-target": f"@request-target: {method.lower()} {path}",
    }
    lines = [
        special.get(name) or f"{name}:{' ' if name in fields else ''}{fields.get(name, '')}"
        for name in names.split(" ")
    ]
    made = hmac.digest(key.encode(), "\n".join(lines).encode(), algorithm.removeprefix("hmac-"))
    value = f'hmac username="{user}", algorithm="{algorithm}", headers="{names}", '
    return {**fields, "Authorization": value + f'signature="{base64.b64encode(made).decode()}"'}


def message(reply: Reply) -> object:
    body = reply.json()
    assert isinstance(body, dict)
    return body["message"]


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
@pytest.mark.parametrize("names", ["date", "date request-line", "@request-target date x-a x-none"])
async def test_a_good_signature_lets_in(
    node: Gateway, upstream: Upstream, algorithm: str, names: str
) -> None:
    path = "/plain/a%20b?x=1&y"
    headers = signed("POST", path, names, algorithm, headers={"x-a": "1 2"})

    assert (await node.request("POST", path, headers)).status == 200

    told = upstream.received[-1].headers
    assert (told["x-consumer-username"], told["x-credential-identifier"]) == ("alice", "al")
    assert told["authorization"] == headers["Authorization"]


@pytest.mark.parametrize(
    ("path", "headers", "text"),
    [
        ("/plain", lambda: {}, "Unauthorized"),
        ("/plain", lambda: signed("GET", "/plain", key="other"), NOT_SAME),
        ("/plain", lambda: signed("GET", "/other", "date request-line"), NOT_SAME),
        ("/plain", lambda: signed("GET", "/plain", user="nobody"), NOT_VALID),
        ("/plain", lambda: signed("GET", "/plain") | {"Authorization": "hmac"}, NOT_VALID),
        ("/plain", lambda: signed("GET", "/plain") | {"Authorization": "Basic YTpi"}, NOT_VALID),
        ("/few", lambda: signed("GET", "/few"), NOT_VALID),
        ("/enforce", lambda: signed("GET", "/enforce"), NOT_VALID),
        ("/plain", lambda: signed("GET", "/plain") | {"date": "never"}, NO_DATE),
        ("/plain", lambda: signed("GET", "/plain", headers={"date": formatdate(time() - 400)}), NO_DATE),
        ("/skew", lambda: signed("GET", "/skew", headers={"date": formatdate(time() + 60)}), NO_DATE),
    ],
)
async def test_any_other_is_refused(
    node: Gateway, path: str, headers: Callable[[], dict[str, str]], text: str
) -> None:
    reply = await node.request("GET", path, headers())

    assert reply.status == 401
    assert message(reply) == text
    assert reply.headers["www-authenticate"] == "hmac"


@pytest.mark.parametrize(
    ("path", "names", "algorithm"),
    [("/few", "date", "hmac-sha512"), ("/enforce", "date @request-target", "hmac-sha256")],
)
async def test_what_is_asked_for_lets_in(node: Gateway, path: str, names: str, algorithm: str) -> None:
    assert (await node.request("GET", path, signed("GET", path, names, algorithm))).status == 200


async def test_another_date_will_do(node: Gateway) -> None:
    headers = signed("GET", "/plain", "x-date", headers={"x-date": formatdate(usegmt=True)})
    del headers["date"]

    assert (await node.request("GET", "/plain", headers)).status == 200


async def test_a_hidden_signature_stays_here(node: Gateway, upstream: Upstream) -> None:
    headers = signed("GET", "/hide")
    headers["Proxy-Authorization"] = headers.pop("Authorization")

    assert (await node.request("GET", "/hide", headers)).status == 200
    assert "proxy-authorization" not in upstream.received[-1].headers


async def test_a_realm_is_named(node: Gateway) -> None:
    assert (await node.request("GET", "/realm")).headers["www-authenticate"] == 'hmac realm="the keep"'


async def test_who_does_not_sign_may_be_anonymous(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/anonymous")).status == 200
    assert upstream.received[-1].headers["x-consumer-username"] == "nobody"


@pytest.mark.parametrize(
    ("body", "digest_of", "status"),
    [(b"", None, 200), (b"text", None, 401), (b"text", b"text", 200), (b"text", b"other", 401)],
)
async def test_a_body_is_compared_with_its_digest(
    node: Gateway, body: bytes, digest_of: bytes | None, status: int
) -> None:
    made = base64.b64encode(hashlib.sha256(digest_of or b"").digest()).decode()
    digest = {} if digest_of is None else {"digest": f"SHA-256={made}"}

    reply = await node.request("POST", "/body", signed("POST", "/body", headers=digest), body)

    assert reply.status == status
    if status == 401:
        assert message(reply) == NOT_SAME
