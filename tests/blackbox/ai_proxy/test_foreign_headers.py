"""Headers that clients of other gateways send: they tell the log, hurry the call, and end here."""

import asyncio

import msgspec
import pytest
from tests.support.ai_proxy import TEXT, ask, config, message_of, route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, record_of, replay
from tests.support.upstream import Received

LITELLM = {
    "x-litellm-trace-id": "trace-1",
    "x-litellm-tags": "team-a, batch,",
    "x-litellm-end-user-id": "ann",
    "x-litellm-spend-logs-metadata": '{"cost_centre": 7}',
    "x-litellm-num-retries": "3",
    "x-litellm-api-key": "sk-mine",
}
PORTKEY = {
    "x-portkey-trace-id": "trace-2",
    "x-portkey-span-id": "span-2",
    "x-portkey-metadata": '{"_user": "bob", "env": "test"}',
    "x-portkey-config": '{"strategy": {"mode": "fallback"}}',
    "x-portkey-api-key": "pk-mine",
    "x-portkey-custom-host": "http://elsewhere.test",
}
HELICONE = {
    "Helicone-Auth": "Bearer sk-helicone",
    "Helicone-User-Id": "cid",
    "Helicone-Session-Id": "session-3",
    "Helicone-Session-Path": "/plan",
    "Helicone-Property-App": "mobile",
    "Helicone-Target-URL": "http://elsewhere.test",
}


@pytest.fixture(scope="module", autouse=True)
async def more_routes(node: Gateway, models: ModelServer) -> None:
    url = models.url
    routes = route("embeddings", f"{url}/v1/embeddings", route_type="llm/v1/embeddings") + route(
        "claude", f"{url}/v1/messages", more="llm_format: anthropic"
    )
    text = config(url, str(node.folder / "log.json")).replace("\nplugins:\n", routes + "\nplugins:\n")
    loaded = await node.configure(text)
    assert loaded.status == 201, loaded.body


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            LITELLM,
            {
                "trace_id": "trace-1",
                "user": "ann",
                "tags": ["team-a", "batch"],
                "metadata": {"cost_centre": 7},
            },
        ),
        (
            PORTKEY,
            {
                "trace_id": "trace-2",
                "span_id": "span-2",
                "metadata": {"_user": "bob", "env": "test"},
                "user": "bob",
            },
        ),
        (
            HELICONE,
            {
                "session_id": "session-3",
                "session_path": "/plan",
                "user": "cid",
                "metadata": {"app": "mobile"},
            },
        ),
    ],
    ids=["litellm", "portkey", "helicone"],
)
async def test_what_they_tell_is_in_the_log_and_nowhere_else(
    node: Gateway, models: ModelServer, headers: dict[str, str], told: dict[str, object]
) -> None:
    models.play = replay(TEXT)

    reply = await ask(node, headers=headers)

    assert reply.status == 200
    assert not [
        name for name, _ in models.last.fields if name.startswith(("x-litellm", "x-portkey", "helicone"))
    ]
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["client"] == told
    assert not any("mine" in str(value) or "sk-helicone" in str(value) for value in record.values())


@pytest.mark.parametrize("path", ["/preserve", "/embeddings", "/claude", "/ollama"])
async def test_no_provider_gets_them_whatever_the_route(
    node: Gateway, models: ModelServer, path: str
) -> None:
    models.play = replay(TEXT)

    await ask(node, path, headers=LITELLM | PORTKEY | HELICONE, model="gpt-4o-mini", input="hello")

    assert not [
        name for name, _ in models.last.fields if name.startswith(("x-litellm", "x-portkey", "helicone"))
    ]


@pytest.mark.parametrize(
    "headers",
    [{"x-litellm-timeout": "0.4"}, {"x-portkey-request-timeout": "400"}],
    ids=["litellm", "portkey"],
)
async def test_a_client_s_timeout_ends_the_call(
    node: Gateway, models: ModelServer, headers: dict[str, str]
) -> None:
    async def silent(_: Received, writer: asyncio.StreamWriter) -> bool:
        while not writer.transport.is_closing():
            await asyncio.sleep(0.02)
        return False

    models.play = silent

    async with asyncio.timeout(20):
        reply = await ask(node, headers=headers)

    assert reply.status == 504


async def test_a_timeout_that_is_none_is_refused(node: Gateway) -> None:
    reply = await ask(node, headers={"x-litellm-timeout": "soon"})

    assert reply.status == 400
    assert "x-litellm-timeout must be a time above 0" in message_of(reply)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("x-litellm-enable-message-redaction", set()),
        ("Helicone-Omit-Request", {"response"}),
        ("Helicone-Omit-Response", {"request"}),
    ],
)
async def test_what_a_client_withholds_is_not_logged(
    node: Gateway, models: ModelServer, name: str, kept: set[str]
) -> None:
    models.play = replay(TEXT)

    reply = await ask(node, "/payloads", headers={name: "true"})

    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["proxy"]["payload"].keys() == kept


async def test_a_cache_is_told_to_ask_anew(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    await ask(node, headers={"x-portkey-cache-force-refresh": "true"})

    assert models.last.headers["cache-control"] == "no-cache"


async def test_metadata_that_is_no_json_is_kept_as_it_came(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    reply = await ask(node, headers={"x-portkey-metadata": "env=test"})

    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["client"] == {"metadata": {"x-portkey-metadata": "env=test"}}
    assert msgspec.json.decode(models.last.body)["model"] == "gpt-4o-mini"
