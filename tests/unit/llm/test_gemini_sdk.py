"""Google's own SDK as a client: what it sends is understood, what we write it takes."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Delta,
    Failed,
    Finish,
    Ping,
    Start,
    Text,
    Thinking,
    Tool,
    ToolArguments,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolStart,
)
from tollhouse.llm.embeddings import Embeddings
from tollhouse.llm.form import Problem, Told
from tollhouse.llm.formats import gemini
from tollhouse.llm.formats.gemini import count, embeddings
from tollhouse.pdk.usage import Usage

genai = importlib.import_module("google.genai")
types = genai.types

#: status, media type and body of an answer to a path and a body
Answer = Callable[[str, bytes], tuple[int, str, bytes]]
JSON = "application/json"


@asynccontextmanager
async def client_of(answer: Answer) -> AsyncIterator[Any]:
    """The SDK, talking to a server of that kind."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        status, kind, content = answer(head.split(" ")[1], body)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        # In pieces, as a network would have it.
        for start in range(0, len(content), 50):
            writer.write(content[start : start + 50])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        options = types.HttpOptions(base_url=f"http://{host}:{port}")
        client = genai.Client(api_key="tk", http_options=options)
        try:
            yield client.aio
        finally:
            await client.aio.aclose()
            client.close()


def whole(chat: Chat, asked: list[ChatRequest]) -> Answer:
    def answer(path: str, body: bytes) -> tuple[int, str, bytes]:
        assert path.endswith("/models/gemini-2.5-flash:generateContent")  # v1beta, from SDK 3 on v1
        asked.append(gemini.decode_request(body, Told("gemini-2.5-flash")))
        return 200, JSON, json.dumps(gemini.encode_response(chat)).encode()

    return answer


def streamed(*deltas: Delta) -> Answer:
    def answer(path: str, body: bytes) -> tuple[int, str, bytes]:
        assert path.endswith("/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
        encoder = gemini.stream_encoder(include_usage=True)
        return 200, gemini.STREAM_TYPE, b"".join(map(encoder.encode, deltas))

    return answer


CHAT = Chat(
    model="m",
    parts=(
        Thinking("hm", "c2ln"),
        Text("hello"),
        ToolCall("1", "f", '{"a": [1, {"b": null}]}', signature="c2ln"),
        ToolCall("2", "g", ""),
    ),
    reason="tool_calls",
    usage=Usage(9, 7, cached_tokens=4, reasoning_tokens=5),
    id="r",
    created=1751919739,
)


async def test_a_whole_answer_is_taken() -> None:
    asked: list[ChatRequest] = []

    async with client_of(whole(CHAT, asked)) as client:
        got = await client.models.generate_content(
            model="gemini-2.5-flash",
            contents=["hi", types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")],
            config=types.GenerateContentConfig(
                system_instruction="Be brief.",
                temperature=0.5,
                top_k=3,
                max_output_tokens=5,
                stop_sequences=["x"],
                thinking_config=types.ThinkingConfig(thinking_budget=0),
                response_mime_type=JSON,
                response_json_schema={"type": "object"},
            ),
        )

    (chat,) = asked
    assert [message.role for message in chat.messages] == ["system", "user"]
    assert (chat.options.temperature, chat.options.top_k, chat.options.max_tokens) == (0.5, 3, 5)
    assert (chat.effort, chat.extra) == ("none", {})
    assert got.text == "hello"
    thought, text, first, second = got.candidates[0].content.parts
    assert (thought.text, thought.thought, thought.thought_signature) == ("hm", True, b"sig")
    assert text.thought is None
    assert (first.function_call.id, first.function_call.name) == ("1", "f")
    assert (first.function_call.args, first.thought_signature) == ({"a": [1, {"b": None}]}, b"sig")
    assert second.function_call.args == {}
    assert got.candidates[0].finish_reason == types.FinishReason.STOP
    usage = got.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (9, 4)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (2, 5, 16)
    assert (got.response_id, got.model_version) == ("r", "m")


async def test_a_conversation_with_tools_is_understood() -> None:
    asked: list[ChatRequest] = []
    function = types.FunctionDeclaration(name="f", description="d", parameters_json_schema={"type": "object"})
    old = types.FunctionDeclaration(
        name="g",
        parameters=types.Schema(type="OBJECT", properties={"a": types.Schema(type="STRING", max_length=3)}),
    )
    call = types.Part(function_call=types.FunctionCall(name="f", args={"a": 1}), thought_signature=b"sig")

    async with client_of(whole(CHAT, asked)) as client:
        await client.models.generate_content(
            model="gemini-2.5-flash",
            contents=[
                types.UserContent("hi"),
                types.ModelContent([call]),
                types.UserContent([types.Part.from_function_response(name="f", response={"result": "x"})]),
            ],
            config=types.GenerateContentConfig(
                tools=[types.Tool(function_declarations=[function, old])],
                tool_config=types.ToolConfig(
                    function_calling_config=types.FunctionCallingConfig(
                        mode="ANY", allowed_function_names=["f"]
                    )
                ),
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            ),
        )

    (chat,) = asked
    assert chat.messages[1].parts == (ToolCall("call_1_0", "f", '{"a":1}', signature="c2ln"),)
    assert chat.messages[2].parts == (ToolResult("call_1_0", (Text("x"),), "f"),)
    first, second = chat.tools
    assert first == Tool("f", "d", {"type": "object"})
    assert isinstance(second, Tool)
    assert second.parameters == {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}}
    assert chat.tool_choice == ToolChoice("one", "f")


async def test_a_stream_is_taken() -> None:
    answer = streamed(
        Start("m", "r"),
        Thinking("hm"),
        Ping(),
        Text("hel"),
        Text("lo \u2028 \u00e9"),
        ToolStart(0, "1", "f", "c2ln"),
        ToolArguments(0, '{"a"'),
        ToolArguments(0, ": 1}"),
        Finish("tool_calls", Usage(9, 7, reasoning_tokens=5)),
    )

    async with client_of(answer) as client:
        stream = await client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
        got = [chunk async for chunk in stream]

    parts = [part for chunk in got for part in chunk.candidates[0].content.parts]
    assert [part.text for part in parts] == ["hm", "hel", "lo \u2028 \u00e9", None]
    assert parts[0].thought
    assert parts[-1].function_call.args == {"a": 1}
    assert got[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert got[-1].usage_metadata.total_token_count == 16


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    async with client_of(streamed(Start("m"), Text("x"), Failed("busy", "overloaded"))) as client:
        stream = await client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
        assert (await anext(stream)).text == "x"
        with pytest.raises(genai.errors.ServerError, match="busy") as failed:
            await anext(stream)

    assert (failed.value.code, failed.value.status) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("problem", "code", "status"),
    [
        (Problem("auth", "no"), 401, "UNAUTHENTICATED"),
        (Problem("rate_limit", "no", retry_after=3), 429, "RESOURCE_EXHAUSTED"),
        (Problem("upstream_auth", "no"), 502, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_taken(problem: Problem, code: int, status: str, stream: bool) -> None:
    answer = gemini.encode_error(problem)

    async with client_of(lambda path, body: (answer.status, JSON, answer.body)) as client:
        with pytest.raises(genai.errors.APIError) as failed:
            await first_of(client.models, stream=stream)

    assert (failed.value.code, failed.value.status, failed.value.message) == (code, status, "no")


async def first_of(models: Any, *, stream: bool) -> Any:
    if not stream:
        return await models.generate_content(model="m", contents="hi")
    return await anext(await models.generate_content_stream(model="m", contents="hi"))


async def test_a_blocked_prompt_is_taken() -> None:
    answer = gemini.encode_error(Problem("content_filter", "no"))

    async with client_of(lambda path, body: (answer.status, JSON, answer.body)) as client:
        got = await client.models.generate_content(model="m", contents="hi")

    assert got.candidates is None
    assert got.prompt_feedback.block_reason == types.BlockedReason.OTHER


async def test_embeddings_and_counts_are_taken() -> None:
    def answer(path: str, body: bytes) -> tuple[int, str, bytes]:
        if path.endswith(":countTokens"):
            counted = count.decode_count_request(body, Told("m"))
            assert len(counted.messages) == 1
            return 200, JSON, json.dumps(count.encode_count(8)).encode()
        asked = embeddings.decode_request(body, Told("m"))
        found = Embeddings(vectors=tuple((float(len(text)),) for text in asked.texts), usage=Usage(3))
        return 200, JSON, json.dumps(embeddings.encode_response(found, asked)).encode()

    async with client_of(answer) as client:
        counted = await client.models.count_tokens(model="m", contents="hi")
        got = await client.models.embed_content(model="m", contents=["a", "bb"])

    assert counted.total_tokens == 8
    assert [one.values for one in got.embeddings] == [[1.0], [2.0]]


def test_every_reason_has_a_meaning() -> None:
    found = {kind.name: gemini.response.reason_of(kind.name) for kind in types.FinishReason}

    filtered = {name for name, reason in found.items() if reason == "content_filter"}
    assert {"SAFETY", "BLOCKLIST", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY"} <= filtered
    assert {name for name, reason in found.items() if reason == "length"} >= {"MAX_TOKENS"}
    assert found["STOP"] == "stop"
