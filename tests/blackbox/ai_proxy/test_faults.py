"""A provider that fails within its stream: too early for a stream at all, or in the middle of it."""

import asyncio
from typing import Any

import pytest
from tests.support.ai_proxy import STREAM, ask, config, events, message_of, open_stream, route
from tests.support.gateway import Gateway
from tests.support.models import (
    END,
    ModelServer,
    ai_metrics,
    hanging,
    record_of,
    replay,
    silent,
    stream,
)
from tests.support.recordings import recording
from tests.support.upstream import Received

ROLE = STREAM.chunks[0]
#: Anthropic's stream as it comes before the first content: lifecycle events and a ping
CLAUDE = recording("anthropic/messages-stream-text-claude-3-5-haiku-20241022")
BEFORE = b"".join(CLAUDE.chunks).partition(b"event: content_block_delta")[0]


def more_routes(url: str) -> str:
    patient = "limits: {first_byte_timeout: 1000, chunk_timeout: 600, total_timeout: 2500"
    claude = {"provider": "anthropic", "model": "name: claude-haiku-4-5,"}
    options = ', anthropic_version: "2023-06-01"'
    return (
        route("impatient", f"{url}/v1/chat/completions", more=patient + "}")
        + route("paced", f"{url}/v1/chat/completions", more="limits: {min_tokens_per_second: 1000}")
        + route("claude", f"{url}/v1/messages", more=patient + "}", options=options, **claude)
        + route(
            "messages",
            f"{url}/v1/messages",
            more=f"{patient}}}\n      llm_format: anthropic",
            options=options,
            **claude,
        )
    )


@pytest.fixture(scope="module", autouse=True)
async def faulty(node: Gateway, models: ModelServer) -> None:
    text = config(models.url, str(node.folder / "log.json"))
    loaded = await node.configure(text.replace("\nplugins:\n", more_routes(models.url) + "\nplugins:\n"))
    assert loaded.status == 201, loaded.body


PATHS = ["/impatient", "/claude", "/messages"]


def beginning(path: str) -> bytes:
    """All that comes before the first content."""
    return ROLE if path == "/impatient" else BEFORE


def middle(path: str) -> bytes:
    """A stream up to and with its first content."""
    if path == "/impatient":
        return b"".join(STREAM.chunks[:3])
    head, _, rest = b"".join(CLAUDE.chunks).partition(b"event: content_block_delta")
    return head + b"event: content_block_delta" + rest.partition(b"\n\n")[0] + b"\n\n"


def asked(path: str) -> dict[str, Any]:
    return {"stream": True, "max_tokens": 50} if path == "/messages" else {"stream": True}


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_stalls_before_its_first_content_is_an_error_with_a_status(
    node: Gateway, models: ModelServer, path: str
) -> None:
    models.play = hanging(beginning(path))

    reply = await ask(node, path, **asked(path))

    assert reply.status in (504, 529 if path == "/messages" else 504)
    assert reply.headers["content-type"].startswith("application/json")
    assert message_of(reply)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_provider_that_says_nothing_is_given_up(
    node: Gateway, models: ModelServer, streamed: bool
) -> None:
    models.play = silent

    assert (await ask(node, "/impatient", stream=streamed)).status == 504


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cut", ["chunk", "connection"])
async def test_a_stream_that_is_cut_before_its_first_content_is_an_error_with_a_status(
    node: Gateway, models: ModelServer, path: str, cut: str
) -> None:
    models.play = stream([beginning(path)], end=b"0\r\n\r\n" if cut == "chunk" else b"")

    reply = await ask(node, path, **asked(path))

    assert reply.status in (500, 502)
    assert message_of(reply)


async def test_an_error_before_the_first_content_has_its_own_status(
    node: Gateway, models: ModelServer
) -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    for path, status in (("/claude", 503), ("/messages", 529)):
        models.play = stream([BEFORE, error])
        reply = await ask(node, path, **asked(path))
        assert (reply.status, message_of(reply)) == (status, "busy")
    models.play = stream([ROLE, b'data: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}\n\n'])
    reply = await ask(node, stream=True)
    assert (reply.status, message_of(reply)) == (429, "slow down")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", ["stall", "cut"])
async def test_a_stream_that_fails_after_its_first_content_ends_with_an_error_event(
    node: Gateway, models: ModelServer, path: str, fault: str
) -> None:
    content = middle(path)
    models.play = hanging(content) if fault == "stall" else stream([content], end=b"")

    reply = await ask(node, path, **asked(path))

    assert reply.status == 200
    last = [event for event in reply.body.split(b"\n\n") if event][-1]
    assert b'"error"' in last
    assert b"broke off" in last
    assert b"[DONE]" not in reply.body
    assert b"message_stop" not in reply.body
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["proxy"]["usage"]["completion_tokens"] > 0


async def test_bytes_that_are_no_answer_end_a_stream_with_an_error_event(
    node: Gateway, models: ModelServer
) -> None:
    held = asyncio.Event()
    models.play = stream([middle("/impatient"), STREAM.chunks[3]], after=held, end=b"no chunk\r\n")
    reader, writer = await open_stream(node, "/impatient")
    await reader.readuntil(STREAM.chunks[2])

    held.set()

    rest = await reader.readuntil(END)
    assert b"broke off" in rest
    assert b"[DONE]" not in rest
    writer.close()


async def test_an_event_that_cannot_be_read_is_left_out_and_counted(
    node: Gateway, models: ModelServer
) -> None:
    before = await metric(node, "tollhouse_llm_malformed_events_total")
    broken = b'data: {"choices":[{"delta":{"content":"x"\n\n'
    models.play = stream([*STREAM.chunks[:3], broken, *STREAM.chunks[3:]])

    reply = await ask(node, stream=True, stream_options={"include_usage": True})

    assert reply.body == STREAM.content
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["malformed_events"] == 1
    assert await metric(node, "tollhouse_llm_malformed_events_total") == before + 1


async def test_so_does_another_form(node: Gateway, models: ModelServer) -> None:
    first, rest = middle("/claude"), b"".join(CLAUDE.chunks).removeprefix(middle("/claude"))
    models.play = stream([first, b"event: content_block_delta\ndata: {nonsense\n\n", rest])

    assert (await ask(node, "/messages", **asked("/messages"))).body == b"".join(CLAUDE.chunks)
    translated = await ask(node, "/claude", stream=True)
    assert translated.body.endswith(b"data: [DONE]\n\n")
    assert all("error" not in event for event in events(translated.body))


async def test_a_stream_has_to_end_in_time(node: Gateway, models: ModelServer) -> None:
    async def pinging(_: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + middle("/impatient"))
        while not writer.is_closing():
            writer.write(b": still here\n\n")
            await asyncio.sleep(0.1)
        return False

    models.play = pinging

    reply = await ask(node, "/impatient", stream=True)

    assert "did not end in time" in events(reply.body)[-1]["error"]["message"]


async def test_a_stream_that_is_too_slow_is_ended(node: Gateway, models: ModelServer) -> None:
    models.play = hanging(middle("/impatient"))

    reply = await ask(node, "/paced", stream=True)

    assert "tokens a second" in events(reply.body)[-1]["error"]["message"]


async def test_the_head_tells_who_answers_and_how_soon(node: Gateway, models: ModelServer) -> None:
    models.play = replay(STREAM)

    headers = (await ask(node, stream=True)).headers

    assert headers["x-tollhouse-provider"] == "openai"
    assert headers["x-tollhouse-model"] == "gpt-4o-mini"
    assert int(headers["x-tollhouse-first-token-ms"]) >= 0


async def metric(node: Gateway, name: str) -> float:
    """The sum of a metric's series."""
    assert await ai_metrics(node) is not None
    text = (await node.admin_request("GET", "/metrics")).body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))
