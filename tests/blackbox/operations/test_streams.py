"""Streams of what models do besides chats: nothing before the first content, no clean end of a broken one."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.blackbox.operations.conftest import configuration
from tests.support.gateway import Gateway, Reply
from tests.support.models import ModelServer, ai_metrics, hanging, record_of, stream

from tollhouse.llm.formats.bedrock_converse.eventstream import exception
from tollhouse.llm.formats.bedrock_converse.invoke import chunk

WAIT_MS = 500
MULTIPART = "multipart/form-data; boundary=b"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-4o-mini-transcribe\r\n'
    b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)


def sse(**event: Any) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def line(**event: Any) -> bytes:
    return json.dumps(event).encode() + b"\n"


def claude(**event: Any) -> bytes:
    return chunk(json.dumps(event).encode())


@dataclass(frozen=True)
class Case:
    path: str
    body: Any
    #: what leads to the answer, a piece of it, and its end, which tells usage of (7, 5)
    before: bytes
    piece: bytes
    end: bytes
    #: an error that says that the provider is busy, and the status of that for the client
    busy: bytes
    status: int
    garbled: bytes
    kind: str = "text/event-stream"

    @property
    def gap(self) -> bytes:
        """How the client is told of an error within a stream."""
        return b'"error"' if "eventstream" not in self.kind else b":exception-type"


USED = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
BUSY = sse(type="error", error={"message": "slow down", "code": "rate_limit_exceeded"})
BAD = b"data: {nonsense\n\n"
CASES = {
    "speech": Case(
        "/v1/audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "one two", "voice": "alloy", "stream_format": "sse"},
        b": hello\n\n",
        sse(type="speech.audio.delta", audio="aGk="),
        sse(type="speech.audio.done", usage=USED),
        BUSY,
        429,
        BAD,
    ),
    "transcription": Case(
        "/v1/audio/transcriptions",
        FORM,
        sse(type="transcript.started"),
        sse(type="transcript.text.delta", delta="hel"),
        sse(type="transcript.text.done", text="hel", usage=USED),
        BUSY,
        429,
        BAD,
    ),
    "pictures": Case(
        "/v1/images/generations",
        {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 1},
        sse(type="image_generation.in_progress"),
        sse(type="image_generation.partial_image", b64_json="aGk="),
        sse(type="image_generation.completed", b64_json="aGk=", usage=USED),
        BUSY,
        429,
        BAD,
    ),
    "generate": Case(
        "/api/generate",
        {"model": "ollama/m", "prompt": "one two"},
        line(model="m", response="", done=False),
        line(model="m", response="Hi", done=False),
        line(model="m", response="", done=True, prompt_eval_count=7, eval_count=5),
        line(error="the server is busy"),
        502,
        b"{nonsense\n",
        "application/x-ndjson",
    ),
    "invoke": Case(
        "/model/bedrock%2Fanthropic.claude-3-haiku-20240307-v1:0/invoke-with-response-stream",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []},
        claude(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        claude(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        claude(
            type="message_stop",
            **{"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 5}},
        ),
        exception("throttlingException", b'{"message":"slow down"}'),
        429,
        chunk(b"{nonsense"),
        "application/vnd.amazon.eventstream",
    ),
}


@pytest.fixture(scope="module")
async def node(models: ModelServer) -> AsyncIterator[Gateway]:
    limits = f"limits: {{chunk_timeout: {WAIT_MS}}}, "
    gateway = await Gateway.start('_format_version: "3.0"\n')
    text = configuration(models.url).replace("config: {logging", f"config: {{{limits}logging")
    text += f'- {{name: file-log, config: {{path: "{gateway.folder / "log.json"}"}}}}\n'
    loaded = await gateway.configure(text)
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()


async def ask(node: Gateway, case: Case) -> Reply:
    is_form = isinstance(case.body, bytes)
    body = case.body if is_form else json.dumps(case.body).encode()
    kind = MULTIPART if is_form else "application/json"
    return await node.request("POST", case.path, {"Content-Type": kind}, body)


async def tokens_of(node: Gateway, reply: Reply) -> tuple[int, int, str]:
    record = await record_of(node, reply.headers["x-kong-request-id"])
    usage = record["ai"]["proxy"]["usage"]
    source = record["ai"]["call"]["usage_source"] if "call" in record["ai"] else ""
    return usage["prompt_tokens"], usage["completion_tokens"], source


@pytest.mark.parametrize("name", CASES)
async def test_a_stream_passes_and_its_usage_is_metered(
    node: Gateway, models: ModelServer, name: str
) -> None:
    case = CASES[name]
    models.play = stream([case.before, case.piece, case.end], kind=case.kind)

    reply = await ask(node, case)

    assert (reply.status, reply.body) == (200, case.before + case.piece + case.end)
    assert int(reply.headers["x-tollhouse-first-token-ms"]) >= 0
    assert (await tokens_of(node, reply))[:2] == (7, 5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["ended", "cut", "stalled"])
async def test_what_fails_before_its_first_content_is_an_error_with_a_status(
    node: Gateway, models: ModelServer, name: str, how: str
) -> None:
    case = CASES[name]
    models.play = {
        "ended": stream([case.before], kind=case.kind),
        "cut": stream([case.before], kind=case.kind, end=b""),
        "stalled": hanging(case.before, kind=case.kind),
    }[how]

    reply = await ask(node, case)

    assert reply.status in (500, 502, 504, 408), reply.body
    assert reply.headers["content-type"].startswith("application/json")
    assert case.before not in reply.body


@pytest.mark.parametrize("name", CASES)
async def test_an_error_before_the_first_content_has_its_status(
    node: Gateway, models: ModelServer, name: str
) -> None:
    case = CASES[name]
    models.play = stream([case.before, case.busy], kind=case.kind)

    reply = await ask(node, case)

    assert (reply.status, case.before in reply.body) == (case.status, False)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["ended", "cut", "stalled"])
async def test_what_fails_within_the_answer_ends_with_an_error_of_its_form(
    node: Gateway, models: ModelServer, name: str, how: str
) -> None:
    case = CASES[name]
    pieces = [case.before, case.piece]
    models.play = {
        "ended": stream(pieces, kind=case.kind),
        "cut": stream(pieces, kind=case.kind, end=b""),
        "stalled": hanging(*pieces, kind=case.kind),
    }[how]

    reply = await ask(node, case)

    assert reply.status == 200
    passed, rest = reply.body[: len(case.before + case.piece)], reply.body[len(case.before + case.piece) :]
    assert passed == case.before + case.piece
    assert case.gap in rest
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["error"] in ("upstream_error", "timeout")
    assert record["ai"]["call"]["usage_source"] == "estimated"


@pytest.mark.parametrize("name", CASES)
async def test_an_event_that_cannot_be_read_is_counted(node: Gateway, models: ModelServer, name: str) -> None:
    case = CASES[name]
    models.play = stream([case.piece, case.garbled, case.end], kind=case.kind)

    reply = await ask(node, case)

    if case.kind != CASES["invoke"].kind:  # frames pass as they are
        assert reply.body == case.piece + case.end
    record = await record_of(node, reply.headers["x-kong-request-id"])
    assert record["ai"]["call"]["malformed_events"] == 1


@pytest.mark.parametrize("name", ["transcription", "pictures"])
async def test_a_whole_answer_where_a_stream_was_asked_for_is_metered(
    node: Gateway, models: ModelServer, name: str
) -> None:
    whole = json.dumps({"text": "hel", "usage": USED}).encode()
    models.play = stream([whole[:20], whole[20:]], kind="application/json")

    reply = await ask(node, CASES[name])

    assert (reply.status, reply.body) == (200, whole)
    assert (await tokens_of(node, reply))[:2] == (7, 5)


async def test_sound_that_never_begins_is_an_error_and_what_breaks_off_never_ends_well(
    node: Gateway, models: ModelServer
) -> None:
    body = {"model": "tts-1", "input": "hi", "voice": "alloy"}
    case = Case("/v1/audio/speech", body, b"", b"", b"", b"", 0, b"", "audio/mpeg")
    models.play = hanging(kind=case.kind)
    assert (await ask(node, case)).status == 504

    models.play = stream([b"ID3\0"], kind=case.kind, end=b"")
    with pytest.raises(EOFError):
        await ask(node, case)
    assert await ai_metrics(node)
