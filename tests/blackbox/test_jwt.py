"""jwt: tokens that another library has signed, where they may stand, and why some are refused."""

from collections.abc import AsyncIterator, Mapping
from time import time
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from tests.support.gateway import Gateway, send
from tests.support.upstream import Upstream

SECRET = "a secret of at least sixty-four bytes, which is what HS512 asks for at least"
KEYS: Mapping[str, Key] = {
    **{name: OctKey.import_key(SECRET) for name in ("HS256", "HS384", "HS512")},
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey.generate_key(2048)),
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}
ROUTES: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "names": {"uri_param_names": ["t"], "cookie_names": ["c"], "header_names": ["x-token"]},
    "sub": {"key_claim_name": "sub"},
    "base64": {"secret_is_base64": True},
    "times": {"claims_to_verify": ["exp", "nbf"]},
    "maximum": {"claims_to_verify": ["exp"], "maximum_expiration": 60},
    "preflight": {"run_on_preflight": False},
    "realm": {"realm": "the keep"},
    "anonymous": {"anonymous": "nobody"},
}
INVALID = 'Bearer error="invalid_token"'


def config(url: str) -> str:
    routes = [
        {"name": name, "paths": [f"/{name}"], "plugins": [{"name": "jwt", "config": config}]}
        for name, config in ROUTES.items()
    ]
    secrets = [
        {"key": name, "algorithm": name, "secret": SECRET}
        | ({} if isinstance(key, OctKey) else {"rsa_public_key": key.as_pem(private=False).decode()})
        for name, key in KEYS.items()
    ]
    secrets.append({"key": "base64", "secret": "AAECAwQFBgcICQoLDA0ODw"})
    consumers = [{"username": "alice", "jwt_secrets": secrets}, {"username": "nobody"}]
    document = {"_format_version": "3.0", "services": [{"name": "s", "url": url, "routes": routes}]}
    return msgspec.json.encode(document | {"consumers": consumers}).decode()


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url))
    yield gateway
    await gateway.stop()


def token(claims: dict[str, Any], algorithm: str = "HS256", key: Key | None = None) -> str:
    return jwt.encode({"alg": algorithm}, claims, key or KEYS[algorithm], algorithms=[algorithm])


def bearer(claims: dict[str, Any], algorithm: str = "HS256", key: Key | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(claims, algorithm, key)}"}


GOOD = token({"iss": "HS256"})


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", KEYS)
async def test_every_algorithm_is_verified(node: Gateway, upstream: Upstream, algorithm: str) -> None:
    headers = bearer({"iss": algorithm}, algorithm)

    for _ in range(2):  # a second time from memory
        assert (await node.request("GET", "/plain", headers)).status == 200
        told = upstream.received[-1].headers
        assert (told["x-consumer-username"], told["x-credential-identifier"]) == ("alice", algorithm)
    forged = headers["Authorization"][:-8] + "AAAAAAAA"
    reply = await node.request("GET", "/plain", {"Authorization": forged})
    assert (reply.status, reply.json()) == (401, {"message": "Invalid signature"})


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/plain?jwt={GOOD}", {}, 200),
        (f"/plain?jwt={GOOD}&jwt={GOOD}", {"Authorization": f"bearer {GOOD}"}, 200),
        ("/plain", {"Authorization": GOOD}, 401),
        ("/plain", {"Cookie": f"jwt={GOOD}"}, 401),
        (f"/names?t={GOOD}", {}, 200),
        (f"/names?jwt={GOOD}", {}, 401),
        ("/names", {"Cookie": f"a=b; c={GOOD}"}, 200),
        ("/names", {"X-Token": f"Bearer {GOOD}"}, 200),
        ("/names", {"Authorization": f"Bearer {GOOD}"}, 401),
        ("/sub", bearer({"iss": "x", "sub": "HS256"}), 200),
        ("/base64", bearer({"iss": "base64"}, key=OctKey.import_key(bytes(range(16)))), 200),
        ("/times", bearer({"iss": "HS256", "exp": int(time()) + 3600, "nbf": int(time()) - 9}), 200),
        ("/plain", bearer({"iss": "HS256", "exp": 1}), 200),
    ],
)
async def test_where_a_token_may_stand(
    node: Gateway, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await node.request("GET", path, headers)).status == status


async def test_a_token_that_lives_shorter_than_the_longest_passes(node: Gateway) -> None:
    headers = bearer({"iss": "HS256", "exp": int(time()) + 50})
    assert (await node.request("GET", "/maximum", headers)).status == 200


NOW = int(time())
REFUSED: list[tuple[str, dict[str, str], object]] = [
    ("/plain", {"Authorization": "Bearer a"}, {"message": "Bad token; invalid JSON"}),
    (f"/plain?jwt={GOOD}", bearer({"iss": "HS384"}), {"message": "Multiple tokens provided"}),
    ("/plain?jwt", {}, {"message": "Unrecognizable token"}),
    ("/plain", bearer({"sub": "x"}), {"message": "No mandatory 'iss' in claims"}),
    ("/plain", bearer({"iss": ""}), {"message": "Invalid 'iss' in claims"}),
    ("/plain", bearer({"iss": 5}), {"message": "Invalid 'iss' in claims"}),
    ("/plain", bearer({"iss": "who"}), {"message": "No credentials found for given 'iss'"}),
    ("/plain", bearer({"iss": "RS256"}), {"message": "Invalid algorithm"}),
    (
        "/plain",
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJIUzI1NiJ9."},
        {"message": "Bad token; invalid alg"},
    ),
    ("/base64", bearer({"iss": "HS256"}), {"message": "Invalid key/secret"}),
    ("/times", bearer({"iss": "HS256"}), {"exp": "must be a number", "nbf": "must be a number"}),
    ("/times", bearer({"iss": "HS256", "exp": 1, "nbf": 1}), {"exp": "token expired"}),
    (
        "/times",
        bearer({"iss": "HS256", "exp": NOW + 3600, "nbf": NOW + 3600}),
        {"nbf": "token not valid yet"},
    ),
    ("/maximum", bearer({"iss": "HS256", "exp": NOW + 3600}), {"exp": "exceeds maximum allowed expiration"}),
]


@pytest.mark.parametrize(("path", "headers", "body"), REFUSED)
async def test_why_a_token_is_refused(
    node: Gateway, path: str, headers: dict[str, str], body: object
) -> None:
    reply = await node.request("GET", path, headers)

    assert (reply.status, reply.json()) == (401, body)
    assert reply.headers["www-authenticate"] == INVALID


async def test_without_a_token_the_scheme_is_named(node: Gateway) -> None:
    reply = await node.request("GET", "/plain")

    assert (reply.status, reply.body) == (401, b'{"message":"Unauthorized"}')
    assert reply.headers["www-authenticate"] == "Bearer"
    assert (await node.request("GET", "/realm")).headers["www-authenticate"] == 'Bearer realm="the keep"'
    bad = await node.request("GET", "/realm", {"Authorization": "Bearer x"})
    assert bad.headers["www-authenticate"] == 'Bearer realm="the keep", error="invalid_token"'


async def test_only_the_first_of_several_header_lines_counts(node: Gateway) -> None:
    head = f"GET /plain HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {GOOD}\r\nAuthorization: Bearer x\r\n"
    answer = await send(node.proxy, f"{head}Connection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_preflight_needs_no_token_if_so_configured(node: Gateway) -> None:
    assert (await node.request("OPTIONS", "/preflight")).status == 200
    assert (await node.request("OPTIONS", "/plain")).status == 401


async def test_a_bad_token_may_be_anonymous(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/anonymous", {"Authorization": "Bearer x"})).status == 200
    assert upstream.received[-1].headers["x-anonymous-consumer"] == "true"


async def test_a_maximum_needs_the_claim(node: Gateway) -> None:
    text = '_format_version: "3.0"\nplugins: [{name: jwt, config: {maximum_expiration: 60}}]'

    assert (await node.configure(text)).status == 400


async def test_a_remembered_token_ends_with_its_credential(upstream: Upstream) -> None:
    node = await Gateway.start(config(upstream.url))
    try:
        headers = {"Authorization": f"Bearer {GOOD}"}
        assert (await node.request("GET", "/plain", headers)).status == 200
        assert (await node.configure(config(upstream.url).replace(SECRET, "other"))).status == 201
        reply = await node.request("GET", "/plain", headers)
        assert (reply.status, reply.json()) == (401, {"message": "Invalid signature"})
    finally:
        await node.stop()
