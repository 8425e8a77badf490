"""Who may use the Admin API, for what, and the trail that changes leave."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway, Reply

CONFIG = """_format_version: "3.0"
consumers: [{username: alice, keyauth_credentials: [{key: top-secret-key}]}]
"""
OTHER = '_format_version: "3.0"\nconsumers: [{username: bob}, {username: carol}]\n'
BROKEN = '_format_version: "3.0"\nconsumers: [{}]\n'
KEY = "the key of the whole"
READER = "a token of somebody who looks"
OPERATOR = "a token of somebody who changes"


@pytest.fixture(scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yml"
    digest = hashlib.sha256(READER.encode()).hexdigest()
    tokens.write_text(
        f"tokens:\n- {{name: dashboard, role: read-only, sha256: {digest}}}\n"
        f"- {{name: team, role: operator, tags: [mine], token: {OPERATOR}}}\n"
    )
    settings = {
        "TOLLHOUSE_ADMIN_KEY": KEY,
        "TOLLHOUSE_ADMIN_TOKENS": str(tokens),
        "KONG_ADMIN_GUI_URL": "https://manager.test:8445/manager",
    }
    gateway = await Gateway.start(CONFIG, environment=settings)
    yield gateway
    await gateway.stop()


async def asked(
    node: Gateway, token: str | None, method: str, path: str, body: str = "", **more: str
) -> Reply:
    headers = {**({"Kong-Admin-Token": token} if token is not None else {}), **more}
    return await node.admin_request(method, path, headers, body.encode())


@pytest.mark.parametrize("token", [None, "", "wrong", KEY + "x"])
async def test_nobody_gets_in_without_a_token_that_is_known(node: Gateway, token: str | None) -> None:
    reply = await asked(node, token, "GET", "/consumers")

    assert reply.status == 401
    assert b"top-secret" not in reply.body


@pytest.mark.parametrize(
    ("token", "method", "path", "body", "status"),
    [
        (KEY, "GET", "/consumers/alice", "", 200),
        (READER, "GET", "/consumers/alice", "", 200),
        (READER, "HEAD", "/consumers", "", 200),
        (READER, "POST", "/config", OTHER, 403),
        (READER, "DELETE", "/consumers/alice", "", 403),
        (READER, "POST", "/schemas/consumers/validate", '{"username": "u"}', 200),
        (OPERATOR, "GET", "/consumers", "", 200),
        (OPERATOR, "POST", "/config", OTHER, 403),
        # Not theirs, which comes before that nothing can be changed here.
        (OPERATOR, "DELETE", "/consumers/alice", "", 403),
    ],
)
async def test_a_role_says_what_may_be_done(
    node: Gateway, token: str, method: str, path: str, body: str, status: int
) -> None:
    reply = await asked(node, token, method, path, body, **{"Content-Type": "application/json"})

    assert reply.status == status


async def test_a_bearer_token_is_as_good(node: Gateway) -> None:
    reply = await node.admin_request("GET", "/", {"Authorization": f"Bearer {KEY}"})

    assert reply.status == 200


async def test_the_key_is_not_shown(node: Gateway) -> None:
    reply = await asked(node, KEY, "GET", "/")

    assert reply.status == 200
    assert KEY.encode() not in reply.body
    assert OPERATOR.encode() not in reply.body


async def test_browsers_may_use_it_from_the_managers_origin_only(node: Gateway) -> None:
    asking = {"Access-Control-Request-Method": "GET"}
    ours = await asked(node, None, "OPTIONS", "/services", Origin="https://manager.test:8445", **asking)
    others = await asked(node, None, "OPTIONS", "/services", Origin="https://elsewhere.test", **asking)

    assert ours.status == 204
    assert ours.headers["access-control-allow-origin"] == "https://manager.test:8445"
    assert ours.headers["access-control-allow-headers"] == "Content-Type, Kong-Admin-Token"
    assert others.headers["access-control-allow-origin"] == "https://manager.test:8445"


async def test_every_change_is_in_the_audit_trail_before_it_counts(node: Gateway) -> None:
    yaml = {"Content-Type": "text/yaml"}
    assert (await asked(node, KEY, "POST", "/config", OTHER, **yaml)).status == 201
    assert (await asked(node, KEY, "POST", "/config", BROKEN, **yaml)).status == 400

    lines = trail(node.folder)
    done, begun, failed = lines[-3:]
    assert done["by"] == "admin-key"
    assert done["action"] == "replace configuration"
    assert done["before"]["entities"] == {"consumers": 1, "keyauth_credentials": 1}
    assert done["after"]["hash"] == hashlib.md5(OTHER.encode(), usedforsecurity=False).hexdigest()
    assert "failed" not in begun
    assert "at least one of" in failed["failed"]


def trail(folder: Path) -> list[dict[str, Any]]:
    """The lines of the audit trail."""
    return [json.loads(line) for line in (folder / "logs" / "audit.jsonl").read_text().splitlines()]
