"""openid-connect: tokens of a provider of our own, verified, introspected, required of, and passed on."""

import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from time import time
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from tests.support.gateway import Gateway
from tests.support.identity import Provider
from tests.support.upstream import Upstream

from tollhouse.plugins import Registry
from tollhouse.plugins.openid_connect.elsewhere import ELSEWHERE

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = {"client_id": ["gw"], "client_secret": ["s&cret of many letters"]}
ROUTES: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "audience": {"audience_required": ["api other", "extra"]},
    "scopes": {"scopes_required": ["read write", "admin"]},
    "roles": {"roles_claim": ["realm_access", "roles"], "roles_required": ["boss"]},
    "groups": {"groups_required": ["staff"], "claims_forbidden": ["test_user"]},
    "allowed": {"issuers_allowed": ["https://elsewhere.test"]},
    "leeway": {"leeway": 3600},
    "unverified": {"verify_claims": False},
    "unsigned": {"verify_signature": False},
    "hs": {"enable_hs_signatures": True, **CLIENT},
    "consumer": {"consumer_claim": ["preferred_username"]},
    "custom": {"consumer_claims": [["none"], ["deep", "id"]], "consumer_by": ["custom_id"]},
    "optional": {"consumer_claim": ["preferred_username"], "consumer_optional": True},
    "anonymous": {"anonymous": "nobody"},
    "preflight": {"run_on_preflight": False},
    "messages": {
        "unauthorized_error_message": "who?",
        "forbidden_error_message": "no!",
        "scopes_required": ["x"],
        "expose_error_code": False,
    },
    "header": {"bearer_token_header_name": "x-token"},
    "cookie": {"bearer_token_param_type": ["cookie"], "bearer_token_cookie_name": "tok"},
    "query": {"bearer_token_param_type": ["query"], "upstream_access_token_header": "x-access-token"},
    "keep": {
        "hide_credentials": False,
        "bearer_token_param_type": ["query"],
        "upstream_access_token_header": None,
    },
    "told": {
        "upstream_headers_claims": ["email", "level"],
        "upstream_headers_names": ["x-mail", "x-level"],
        "upstream_headers": [{"header": "x-roles", "path": ["realm_access", "roles"]}],
        "downstream_headers_claims": ["email"],
        "downstream_headers_names": ["x-you-are"],
        "downstream_headers": [{"header": "x-your-roles", "path": ["realm_access", "roles"]}],
        "credential_claim": ["email"],
    },
    "introspect": CLIENT | {"cache_ttl_neg": 60},
    "post": CLIENT | {"client_auth": ["client_secret_post"], "cache_introspection": False},
    "jwtasked": {
        "introspect_jwt_tokens": True,
        "introspection_endpoint_auth_method": "none",
        "introspection_hint": "any",
        "introspection_headers_names": ["x-more"],
        "introspection_headers_values": ["1"],
        "introspection_post_args_names": ["realm"],
        "introspection_post_args_values": ["r"],
    },
    "userinfo": {"auth_methods": ["userinfo"]},
    "claims": {
        "audience_claim": ["azp"],
        "audience_required": ["api"],
        "scopes_claim": ["scp"],
        "scopes_required": ["read"],
        "groups_claim": ["member", "of"],
        "groups_required": ["staff"],
    },
    "inactive": CLIENT | {"introspection_check_active": False},
    "longer": {"cache_ttl": 0, "cache_ttl_min": 60},
    "shorter": {"cache_ttl_max": 0},
    "retold": {"cache_ttl": 0, "cache_ttl_min": 60, "cache_tokens": False},
    "reasked": {"auth_methods": ["userinfo"], "cache_user_info": False},
    "acl": {"authenticated_groups_claim": ["groups"]},
}


def config(url: str, issuer: str, **changes: Any) -> str:
    routes = []
    for name, own in ROUTES.items():
        settings = {"issuer": issuer, "rediscovery_lifetime": 0, **own, **changes}
        plugins: list[dict[str, Any]] = [{"name": "openid-connect", "config": settings}]
        if name == "acl":
            plugins.append({"name": "acl", "config": {"allow": ["staff"]}})
        routes.append({"name": name, "paths": [f"/{name}"], "plugins": plugins})
    consumers = [{"username": "alice", "custom_id": "a-1"}, {"username": "nobody"}]
    services = [{"name": "s", "url": url, "routes": routes}]
    document = {"_format_version": "3.0", "services": services, "consumers": consumers}
    return msgspec.json.encode(document).decode()


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    provider = await Provider().start()
    yield provider
    await provider.stop()


@pytest.fixture(scope="module")
async def node(upstream: Upstream, provider: Provider) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url, provider.issuer))
    yield gateway
    await gateway.stop()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_of_the_provider_lets_in(node: Gateway, upstream: Upstream, provider: Provider) -> None:
    headers = bearer(provider.token({"sub": "u-1", "exp": int(time()) + 60}))

    for _ in range(3):
        assert (await node.request("GET", "/plain", headers)).status == 200

    told = upstream.received[-1].headers
    assert told["authorization"] == headers["Authorization"]
    assert told["x-credential-identifier"] == "u-1"
    assert "x-consumer-id" not in told


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": 1}, False),
        ({"nbf": time() + 900}, False),
        ({"nbf": "soon"}, False),
        ({"iss": "https://elsewhere.test"}, False),
        ({}, True),
    ],
)
async def test_claims_are_verified(
    node: Gateway, provider: Provider, claims: dict[str, Any], good: bool
) -> None:
    reply = await node.request("GET", "/plain", bearer(provider.token(claims)))

    assert reply.status == (200 if good else 401)
    if not good:
        realm = provider.server.url.removeprefix("http://")
        assert reply.headers["www-authenticate"] == f'Bearer realm="{realm}", error="invalid_token"'
        assert '"message":"Unauthorized"' in reply.body.decode()


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/audience", {"aud": ["api", "other", "more"]}, 200),
        ("/audience", {"aud": "extra"}, 200),
        ("/audience", {"aud": "api"}, 403),
        ("/audience", {}, 403),
        ("/scopes", {"scope": "write read x"}, 200),
        ("/scopes", {"scope": "admin"}, 200),
        ("/scopes", {"scope": "read"}, 403),
        ("/roles", {"realm_access": {"roles": ["boss"]}}, 200),
        ("/roles", {"roles": ["boss"]}, 403),
        ("/groups", {"groups": ["staff"]}, 200),
        ("/groups", {"groups": ["staff"], "test_user": True}, 403),
        ("/allowed", {"iss": "https://elsewhere.test"}, 200),
        ("/leeway", {"exp": int(time()) - 60}, 200),
        ("/unverified", {"exp": 1, "iss": "x"}, 200),
        ("/consumer", {"preferred_username": "alice"}, 200),
        ("/consumer", {"preferred_username": "bob"}, 403),
        ("/custom", {"deep": {"id": "a-1"}}, 200),
        ("/custom", {"deep": {"id": "alice"}}, 403),
        ("/optional", {"preferred_username": "bob"}, 200),
        ("/acl", {"groups": ["staff", "x"]}, 200),
        ("/acl", {"groups": ["x"]}, 403),
        ("/claims", {"azp": "api", "scp": "read", "member": {"of": ["staff"]}}, 200),
        ("/claims", {"aud": "api", "scp": "read", "member": {"of": ["staff"]}}, 403),
        ("/claims", {"azp": "api", "scope": "read", "member": {"of": ["staff"]}}, 403),
        ("/claims", {"azp": "api", "scp": "read", "groups": ["staff"]}, 403),
    ],
)
async def test_what_is_required_decides(
    node: Gateway, provider: Provider, path: str, claims: dict[str, Any], status: int
) -> None:
    assert (await node.request("GET", path, bearer(provider.token(claims)))).status == status


async def test_a_consumer_is_found_by_a_claim(node: Gateway, upstream: Upstream, provider: Provider) -> None:
    await node.request("GET", "/consumer", bearer(provider.token({"preferred_username": "alice"})))
    assert upstream.received[-1].headers["x-consumer-custom-id"] == "a-1"

    await node.request("GET", "/acl", bearer(provider.token({"groups": ["staff", "x"]})))
    assert upstream.received[-1].headers["x-authenticated-groups"] == "staff, x"


async def test_forged_tokens_are_refused(node: Gateway, provider: Provider) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "first"})

    for token in (
        provider.token({}, stranger),
        provider.token({"x": 1})[:-6] + "AAAAAA",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
    ):
        assert (await node.request("GET", "/plain", bearer(token))).status == 401
    assert (await node.request("GET", "/unsigned", bearer(provider.token({}, stranger)))).status == 200


async def test_symmetric_signatures_are_taken_only_where_they_are_switched_on(
    node: Gateway, provider: Provider
) -> None:
    secret = OctKey.import_key(CLIENT["client_secret"][0])
    token = jwt.encode({"alg": "HS256"}, {"iss": provider.issuer}, secret, algorithms=["HS256"])

    assert (await node.request("GET", "/hs", bearer(token))).status == 200
    assert (await node.request("GET", "/plain", bearer(token))).status == 401


async def test_a_new_key_is_found_without_a_restart(node: Gateway, provider: Provider) -> None:
    key = ECKey.generate_key("P-256", {"kid": "rotated", "use": "sig"})
    token = provider.token({"n": 1}, key, "ES256")
    assert (await node.request("GET", "/plain", bearer(token))).status == 401
    provider.keys.append(key)

    assert (await node.request("GET", "/plain", bearer(provider.token({"n": 2}, key, "ES256")))).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/plain?access_token={token}", {}, b"", 200),
        ("/plain", FORM, b"access_token={token}", 200),
        ("/header", {"X-Token": "{token}"}, b"", 200),
        ("/header", {"Authorization": "Bearer {token}"}, b"", 401),
        ("/cookie", {"Cookie": "a=b; tok={token}"}, b"", 200),
        ("/cookie", {"Authorization": "Bearer {token}"}, b"", 401),
        ("/query?access_token={token}", {}, b"", 200),
        ("/query", {"Authorization": "Bearer {token}"}, b"", 401),
    ],
)
async def test_where_a_token_may_stand(
    node: Gateway, provider: Provider, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    token = provider.token({"sub": "place"})
    fields = {name: value.replace("{token}", token) for name, value in headers.items()}

    reply = await node.request(
        "POST", path.replace("{token}", token), fields, body.replace(b"{token}", token.encode())
    )

    assert reply.status == status


async def test_a_token_is_moved_to_where_the_upstream_wants_it(
    node: Gateway, upstream: Upstream, provider: Provider
) -> None:
    token = provider.token({"sub": "moved"})

    await node.request("POST", f"/plain?a=1&access_token={token}", FORM, b"b=2")
    assert (upstream.received[-1].target, upstream.received[-1].body) == ("/?a=1", b"b=2")
    assert upstream.received[-1].headers["authorization"] == f"Bearer {token}"
    await node.request("POST", "/plain", FORM, f"access_token={token}&b=2".encode())
    assert upstream.received[-1].body == b"b=2"
    await node.request("GET", f"/query?access_token={token}")
    assert upstream.received[-1].headers["x-access-token"] == token
    await node.request("GET", "/cookie", {"Cookie": f"a=b; tok={token}"})
    assert upstream.received[-1].headers["cookie"] == "a=b"
    await node.request("GET", f"/keep?access_token={token}")
    assert token in upstream.received[-1].target
    assert "authorization" not in upstream.received[-1].headers


async def test_claims_are_told_both_ways(node: Gateway, upstream: Upstream, provider: Provider) -> None:
    claims = {"email": "a@b.test", "level": 3, "realm_access": {"roles": ["x", "y"]}}

    reply = await node.request("GET", "/told", bearer(provider.token(claims)))

    told = upstream.received[-1].headers
    assert (told["x-mail"], told["x-level"], told["x-roles"]) == ("a@b.test", "3", '["x","y"]')
    assert told["x-credential-identifier"] == "a@b.test"
    assert reply.headers["x-you-are"] == "a@b.test"
    assert reply.headers["x-your-roles"] == '["x","y"]'
    forged = bearer(provider.token({"sub": "none"})) | {"X-Mail": "root@b.test"}
    await node.request("GET", "/told", forged)
    assert "x-mail" not in upstream.received[-1].headers


async def test_messages_are_the_operators(node: Gateway, provider: Provider) -> None:
    without = await node.request("GET", "/messages")
    reply = await node.request("GET", "/messages", bearer(provider.token({})))

    assert (without.status, reply.status) == (401, 403)
    assert '"message":"who?"' in without.body.decode()
    assert '"message":"no!"' in reply.body.decode()
    assert "error=" not in reply.headers["www-authenticate"]


async def test_a_bad_token_may_be_anonymous(node: Gateway, upstream: Upstream) -> None:
    for headers in ({}, bearer("a.b.c")):
        assert (await node.request("GET", "/anonymous", headers)).status == 200
        assert upstream.received[-1].headers["x-consumer-username"] == "nobody"


async def test_a_preflight_needs_no_token_if_so_configured(node: Gateway) -> None:
    assert (await node.request("OPTIONS", "/preflight")).status == 200
    assert (await node.request("OPTIONS", "/plain")).status == 401


async def test_opaque_tokens_are_introspected_once(node: Gateway, provider: Provider) -> None:
    provider.tokens["opaque"] = {"sub": "o", "exp": int(time()) + 60}
    before = len(provider.asked("/introspect"))

    for _ in range(3):
        assert (await node.request("GET", "/introspect", bearer("opaque"))).status == 200
        assert (await node.request("GET", "/introspect", bearer("unknown"))).status == 401

    asked = provider.asked("/introspect")[before:]
    assert [each.body for each in asked] == [
        b"token=opaque&token_type_hint=access_token",
        b"token=unknown&token_type_hint=access_token",
    ]
    assert (
        asked[0].headers["authorization"]
        == f"Basic {b64encode(b'gw:s%26cret%20of%20many%20letters').decode()}"
    )


async def test_introspection_by_form_and_uncached(node: Gateway, provider: Provider) -> None:
    provider.tokens["again"] = {"sub": "o"}
    before = len(provider.asked("/introspect"))

    for _ in range(2):
        assert (await node.request("GET", "/post", bearer("again"))).status == 200

    first, _ = provider.asked("/introspect")[before:]
    assert first.body.endswith(b"&client_id=gw&client_secret=s%26cret+of+many+letters")
    assert "authorization" not in first.headers


async def test_signed_tokens_may_be_introspected_too(node: Gateway, provider: Provider) -> None:
    token = provider.token({"sub": "asked"})
    provider.tokens[token] = {"sub": "asked"}

    assert (await node.request("GET", "/jwtasked", bearer(token))).status == 200

    asked = provider.asked("/introspect")[-1]
    assert asked.headers["x-more"] == "1"
    assert asked.body.endswith(b"&token_type_hint=any&realm=r")


async def test_userinfo_tells_who_it_is(node: Gateway, upstream: Upstream, provider: Provider) -> None:
    provider.tokens["info"] = {"sub": "i"}

    assert (await node.request("GET", "/userinfo", bearer("info"))).status == 200
    assert upstream.received[-1].headers["x-credential-identifier"] == "i"
    assert (await node.request("GET", "/userinfo", bearer("stranger"))).status == 401


async def test_an_inactive_token_may_be_let_in(node: Gateway) -> None:
    assert (await node.request("GET", "/inactive", bearer("nobodys"))).status == 200


@pytest.mark.parametrize(
    ("path", "endpoint", "asked"),
    [("/longer", "/introspect", 1), ("/shorter", "/introspect", 2), ("/reasked", "/userinfo", 2)],
)
async def test_how_long_an_answer_is_remembered(
    node: Gateway, provider: Provider, path: str, endpoint: str, asked: int
) -> None:
    token = f"kept{path.replace('/', '-')}"
    provider.tokens[token] = {"sub": "k"}
    before = len(provider.asked(endpoint))

    for _ in range(2):
        assert (await node.request("GET", path, bearer(token))).status == 200

    assert len(provider.asked(endpoint)) - before == asked


async def test_a_verified_token_is_verified_again_only_where_it_is_not_remembered(
    node: Gateway, provider: Provider
) -> None:
    key = ECKey.generate_key("P-256", {"kid": "leaving", "use": "sig"})
    provider.keys.append(key)
    headers = bearer(provider.token({"sub": "leaver"}, key, "ES256"))
    for path in ("/longer", "/retold"):
        assert (await node.request("GET", path, headers)).status == 200

    provider.keys.remove(key)

    assert (await node.request("GET", "/longer", headers)).status == 200
    assert (await node.request("GET", "/retold", headers)).status == 401


async def test_endpoints_may_be_told_instead_of_discovered(upstream: Upstream) -> None:
    provider = await Provider().start()
    other = await Provider("/other", token_argument="tok").start()
    node = await Gateway.start(
        config(
            upstream.url,
            provider.issuer,
            introspection_endpoint=f"{other.issuer}/introspect",
            introspection_token_param_name="tok",
            userinfo_endpoint=f"{other.issuer}/userinfo",
            jwks_endpoint=f"{other.issuer}/certs",
        )
    )
    more = {"extra_jwks_uris": [f"{provider.issuer}/certs"], "jwks_endpoint": f"{other.issuer}/certs"}
    try:
        other.tokens["theirs"] = {"sub": "t"}
        for path in ("/introspect", "/userinfo"):
            assert (await node.request("GET", path, bearer("theirs"))).status == 200
        known, own = provider.token({}, other.keys[0]), provider.token({})
        assert (await node.request("GET", "/plain", bearer(known))).status == 200
        assert (await node.request("GET", "/plain", bearer(own))).status == 401

        assert (await node.configure(config(upstream.url, provider.issuer, **more))).status == 201
        for token in (known, own):
            assert (await node.request("GET", "/plain", bearer(token))).status == 200
    finally:
        await node.stop()
        await provider.stop()
        await other.stop()


async def test_a_provider_that_is_silent_is_not_waited_for(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        node = await Gateway.start(config(upstream.url, issuer, timeout=50))
        try:
            reply = await node.request("GET", "/userinfo", bearer("any"))
            assert reply.status == 500
            await node.until_logged(f"{issuer}/.well-known/openid-configuration")
        finally:
            await node.stop()


async def test_without_the_provider_what_is_known_is_used_on(upstream: Upstream) -> None:
    provider = await Provider().start()
    node = await Gateway.start(config(upstream.url, provider.issuer, cache_ttl=0.001))
    try:
        provider.broken.add("/.well-known/openid-configuration")
        assert (await node.request("GET", "/plain", bearer(provider.token({"n": 0})))).status == 500
        provider.broken.clear()
        assert (await node.request("GET", "/plain", bearer(provider.token({"n": 1})))).status == 200
        provider.broken.add("/.well-known/openid-configuration")
        assert (await node.request("GET", "/plain", bearer(provider.token({"n": 2})))).status == 200
        await node.until_logged("goes on with what it knows")
    finally:
        await node.stop()
        await provider.stop()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"auth_methods": ["authorization_code"]}, "'authorization_code' is not supported"),
        ({"redirect_uri": ["https://a.test"]}, "not supported"),
        ({"session_cookie_name": "mine"}, "not supported: only 'session'"),
        ({"issuer": "nothing"}, "missing host in url"),
        ({"upstream_headers_names": ["x"]}, "as many elements"),
        ({"client_auth": ["private_key_jwt"]}, "expected one of"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(
    node: Gateway, settings: dict[str, Any], text: str
) -> None:
    plugin = {"name": "openid-connect", "config": {"issuer": "https://idp.test", **settings}}
    document = {"_format_version": "3.0", "plugins": [plugin]}

    reply = await node.configure(msgspec.json.encode(document).decode())

    assert reply.status == 400
    assert text in reply.body.decode()


async def test_fields_of_kong_at_their_defaults_are_accepted() -> None:
    record = Registry().config("openid-connect")
    assert record is not None
    _, errors = record.check({"issuer": "https://idp.test", **ELSEWHERE})

    assert errors == {}
