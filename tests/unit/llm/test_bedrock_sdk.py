"""Amazon's own SDK against what we write: its client of Bedrock believes answers, streams and errors, and its
types accept what we send to models."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, get_args

import msgspec
import pytest
from tests.support.recordings import recordings

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Delta,
    Document,
    Failed,
    Finish,
    Image,
    Media,
    Message,
    Options,
    ResponseFormat,
    Start,
    Text,
    Thinking,
    Tool,
    ToolArguments,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolStart,
    Trouble,
)
from tollhouse.llm.form import Problem, Told
from tollhouse.llm.formats.bedrock_converse import (
    STREAM_TYPE,
    decode_request,
    encode_error,
    encode_request,
    encode_response,
    stream_decoder,
    stream_encoder,
)
from tollhouse.llm.formats.bedrock_converse.invoke import chunk
from tollhouse.llm.formats.bedrock_converse.path import Asked, path_for, read_path
from tollhouse.llm.providers.bedrock import PROVIDER
from tollhouse.llm.signing.aws import AwsCredentials, signed_fields
from tollhouse.pdk.usage import Usage

boto3 = importlib.import_module("boto3")
botocore_config = importlib.import_module("botocore.config")
botocore_exceptions = importlib.import_module("botocore.exceptions")
botocore_validate = importlib.import_module("botocore.validate")

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "a-secret", "a-token"
REGION = "eu-west-1"
ARN = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-v1:0"


class Server:
    """Gives one answer to every request, in pieces as small as a network might make them."""

    def __init__(self, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._head = f"HTTP/1.1 {status} Answer\r\n{lines}Connection: close\r\n\r\n".encode()
        self._body = body
        self.path = ""
        self.headers: dict[str, str] = {}
        self.received = b""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.path = line.split(" ")[1]
        pairs = (field.partition(": ") for field in fields if field)
        self.headers = {name.lower(): value for name, _, value in pairs}
        self.received = await reader.readexactly(int(self.headers["content-length"]))
        writer.write(self._head)
        pieces = iter(self._body)
        while piece := bytes(islice(pieces, 997)):
            writer.write(piece)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Any]:
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            aws_session_token=TOKEN,
            config=botocore_config.Config(retries={"max_attempts": 0}),
        )
        try:
            yield client
        finally:
            client.close()


ASKED: dict[str, Any] = {
    "modelId": ARN,
    "system": [{"text": "be"}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}]}
    ],
    "inferenceConfig": {"maxTokens": 5},
}
USAGE = Usage(1332, 5, cached_tokens=1000, cache_write_tokens=330, cache_write_hour_tokens=300)


async def test_a_whole_answer_is_what_the_sdk_expects() -> None:
    chat = Chat(
        model="m",
        parts=(
            Thinking("hm", "s"),
            Thinking("", redacted="b3A="),
            Text("x"),
            ToolCall("1", "f", '{"a":[1]}'),
        ),
        reason="tool_calls",
        usage=USAGE,
    )
    server = Server(msgspec.json.encode(encode_response(chat)), "application/json")

    async with client_of(server) as client:
        answer = await asyncio.to_thread(client.converse, **ASKED)

    assert answer["output"]["message"] == {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": b"op"}},
            {"text": "x"},
            {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": [1]}}},
        ],
    }
    assert answer["stopReason"] == "tool_use"
    assert answer["usage"]["totalTokens"] == 1337
    assert answer["usage"]["cacheDetails"][1] == {"ttl": "1h", "inputTokens": 300}


async def test_what_the_sdk_sends_is_understood_and_was_signed_as_we_sign() -> None:
    server = Server(msgspec.json.encode(encode_response(Chat(model="", parts=(), reason="stop"))), "a/json")

    async with client_of(server) as client:
        await asyncio.to_thread(client.converse, **ASKED)

    asked = read_path(server.path)
    assert asked == Asked("converse", Told(ARN))
    assert server.path == path_for(PROVIDER.chat_path, ARN)
    chat = decode_request(server.received, asked.told)
    assert chat.messages == (
        Message("system", (Text("be", cache="5m"),)),
        Message("user", (Image(data="iVBORw==", media_type="image/png"),)),
    )
    fields = signed_fields(
        "POST",
        server.headers["host"],
        server.path,
        "",
        [("Content-Type", server.headers["content-type"])],
        server.received,
        AwsCredentials(KEY, SECRET, TOKEN),
        region=REGION,
        service=PROVIDER.signs or "",
        instant=datetime.strptime(server.headers["x-amz-date"], "%Y%m%dT%H%M%S%z").timestamp(),
    )
    assert fields == {name: server.headers[name.lower()] for name in fields}


def streamed(*deltas: Delta) -> bytes:
    encoder = stream_encoder(include_usage=True)
    return b"".join(map(encoder.encode, deltas))


async def events_of(content: bytes) -> list[Any]:
    async with client_of(Server(content, STREAM_TYPE)) as client:
        answer = await asyncio.to_thread(client.converse_stream, **ASKED)
        return await asyncio.to_thread(list, answer["stream"])


async def test_a_stream_is_what_the_sdk_expects() -> None:
    events = await events_of(
        streamed(
            Start("m"),
            Thinking("hm"),
            Thinking("", "s"),
            Text("x" * 2000),
            ToolStart(0, "1", "f"),
            ToolArguments(0, '{"a"'),
            ToolArguments(0, ":1}"),
            Finish("tool_calls", USAGE),
        )
    )

    assert [kind for event in events for kind in event] == [
        "messageStart",
        *["contentBlockDelta"] * 2,
        "contentBlockStop",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        *["contentBlockDelta"] * 2,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert events[6]["contentBlockStart"]["start"] == {"toolUse": {"toolUseId": "1", "name": "f"}}
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"]["usage"]["cacheWriteInputTokens"] == 330


@pytest.mark.parametrize("stored", recordings("converse-stream"), ids=lambda stored: stored.name)
async def test_a_recorded_stream_says_the_same_after_its_way_through_us(stored: Any) -> None:
    decoder = stream_decoder()
    deltas = decoder.feed(stored.content) + decoder.end()

    theirs, ours = await events_of(stored.content), await events_of(streamed(*deltas))

    assert list(said(ours)) == list(said(theirs))


def said(events: list[Any]) -> Iterator[Any]:
    """What is in the events, without citations, empty texts and what only Bedrock knows."""
    for event in events:
        match event:
            case {"contentBlockDelta": {"delta": {"text": ""} | {"citation": _}}}:
                pass
            case {"contentBlockDelta": {"delta": delta}}:
                yield delta
            case {"contentBlockStart": {"start": start}}:
                yield start
            case {"messageStop": {"stopReason": reason}}:
                # What a filter did has two names, one in the middle.
                yield "content_filtered" if reason == "guardrail_intervened" else reason
            case {"metadata": {"usage": usage}}:
                yield {name: usage[name] for name in ("inputTokens", "outputTokens", "totalTokens")}
            case _:
                pass


@pytest.mark.parametrize("trouble", get_args(Trouble))
async def test_a_stream_that_breaks_off_raises_in_the_sdk(trouble: Trouble) -> None:
    with pytest.raises(botocore_exceptions.EventStreamError, match="it broke"):
        await events_of(streamed(Start("m"), Text("x"), Failed("it broke", trouble)))


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ("invalid_request", "ValidationException"),
        ("context_length", "ValidationException"),
        ("upstream_auth", "InternalServerException"),
        ("permission", "AccessDeniedException"),
        ("not_found", "ResourceNotFoundException"),
        ("too_large", "ValidationException"),
        ("rate_limit", "ThrottlingException"),
        ("quota", "ServiceQuotaExceededException"),
        ("overloaded", "ServiceUnavailableException"),
        ("timeout", "ModelTimeoutException"),
        ("content_filter", "ValidationException"),
        ("upstream_error", "InternalServerException"),
    ],
)
async def test_an_error_raises_its_own_exception_in_the_sdk(trouble: Trouble, kind: str) -> None:
    error = encode_error(Problem(trouble, "it broke"))
    server = Server(error.body, "application/json", error.status, **error.headers)

    async with client_of(server) as client:
        with pytest.raises(getattr(client.exceptions, kind), match="it broke"):
            await asyncio.to_thread(client.converse, **ASKED)


async def test_a_bad_key_of_the_gateway_is_told_in_amazons_words() -> None:
    error = encode_error(Problem("auth", "it broke"))
    server = Server(error.body, "application/json", error.status, **error.headers)

    async with client_of(server) as client:
        with pytest.raises(botocore_exceptions.ClientError) as caught:
            await asyncio.to_thread(client.converse, **ASKED)

    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


async def test_chunks_of_a_models_own_form_reach_the_sdk() -> None:
    content = chunk(b'{"type":"message_start"}') + chunk('{"text":"é"}'.encode())

    async with client_of(Server(content, STREAM_TYPE)) as client:
        ask: Callable[..., Any] = client.invoke_model_with_response_stream
        answer = await asyncio.to_thread(ask, modelId="m", body=b"{}")
        events = await asyncio.to_thread(list, answer["body"])

    assert [event["chunk"]["bytes"] for event in events] == [
        b'{"type":"message_start"}',
        '{"text":"é"}'.encode(),
    ]


# What we send, by the SDK's own types

EVERYTHING = ChatRequest(
    form="openai_chat",
    model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    messages=(
        Message("system", (Text("be", cache="1h"),)),
        Message(
            "user",
            (
                Text("x", cache="5m"),
                Image(data="iVBORw=="),
                Document(text="a"),
                Document(data="JVBERi0=", name="b_c.pdf"),
                Media("audio", "AAAA", "audio/mp3"),
                Media("video", None, "video/mp4", "s3://bucket/film"),
            ),
        ),
        Message("assistant", (Thinking("hm", "s"), ToolCall("call_" + "x" * 90, "f", '{"a":1}'))),
        Message(
            "tool", (ToolResult("call_" + "x" * 90, (Text("1"), Image(data="iVBORw==")), is_error=True),)
        ),
    ),
    options=Options(max_tokens=50, temperature=2, stop=("x",), top_k=3),
    tools=(Tool("f", "", None, strict=True, cache="5m"), Tool("g", "d", {"properties": {}})),
    tool_choice=ToolChoice("auto"),
    parallel_tool_calls=False,
    response_format=ResponseFormat("json_schema", {"type": "object"}, {"name": "n"}),
    effort="high",
    user="u",
    extra={"service_tier": "flex", "metadata": {"a": "b"}},
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "model", [EVERYTHING.model, "anthropic.claude-opus-5-v1:0", "us.amazon.nova-2-lite-v1:0", ARN]
)
def test_the_sdks_types_accept_what_we_send(model: str, stream: bool) -> None:
    body = encode_request(replace(EVERYTHING, model=model, stream=stream), [])
    shapes = boto3.session.Session().client("bedrock-runtime", region_name=REGION).meta.service_model
    shape = shapes.shape_for("ConverseStreamRequest" if stream else "ConverseRequest")

    report = botocore_validate.ParamValidator().validate({"modelId": model, **listed(body)}, shape)

    assert report.generate_report() == ""


def listed(body: dict[str, Any]) -> dict[str, Any]:
    """As it is on the wire: tuples are arrays."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    return found
