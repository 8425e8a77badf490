"""Chat completion requests of clients, into the neutral form.

What is read is typed, so that a malformed request is refused with the place of its fault; what is not
read is kept beside it, in `extra`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Media,
    Message,
    Options,
    OtherPart,
    OtherTool,
    Part,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.data_urls import data_in, image_at
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, members_beyond
from tollhouse.llm.formats.openai_chat.signature import MEMBER, signature_in

FORM: Final = "openai_chat"
#: `developer` is what newer models call their system messages.
_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MODES: Final = frozenset({"auto", "none", "required"})
#: Mistral's clients say so, and have another name for `seed`
_ANY: Final = "any"
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

Number = int | float | None


# Clients that dump their models whole send nulls where the other kinds of a thing have members.


class _Named(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Named | None = None


class _Url(msgspec.Struct):
    url: str
    detail: str | None = None


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Sound(msgspec.Struct):
    data: str = ""
    format: str = "wav"


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _Url | str | None = None
    file: _File | None = None
    input_audio: _Sound | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Request(msgspec.Struct):
    messages: list[_Message]
    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: Number = None
    top_p: Number = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    random_seed: int | None = None
    presence_penalty: Number = None
    frequency_penalty: Number = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None


_KNOWN: Final = frozenset(
    {*(f.name for f in msgspec.structs.fields(_Request)), "tool_choice", "response_format"}
)
_KNOWN_OF_MESSAGE: Final = frozenset(f.name for f in msgspec.structs.fields(_Message))
_KNOWN_OF_TEXT: Final = frozenset({"type", "text"})
_KNOWN_OF_IMAGE: Final = frozenset({"type", "image_url"})
_KNOWN_OF_CALL: Final = frozenset({"id", "type", "function", "index"})
_KNOWN_OF_TOOL: Final = frozenset({"type", "function"})


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a chat completion request: {error}") from None
    messages = tuple(
        _message(message, given, place)
        for place, (message, given) in enumerate(zip(typed.messages, raw["messages"], strict=True))
    )
    extra = members_beyond(raw, _KNOWN)
    effort = typed.reasoning_effort
    if effort is not None and effort not in _EFFORTS:
        raise Refusal(f"reasoning_effort: unknown effort '{effort}'")
    return ChatRequest(
        form=FORM,
        model=typed.model,
        messages=messages,
        stream=bool(typed.stream),
        options=_options(typed),
        tools=tuple(map(_tool, typed.tools or (), raw.get("tools") or ())),
        tool_choice=_tool_choice(raw.get("tool_choice")),
        parallel_tool_calls=typed.parallel_tool_calls,
        response_format=_response_format(raw.get("response_format")),
        effort=cast(Any, effort),
        user=typed.user,
        include_usage=typed.stream_options is not None and bool(typed.stream_options.include_usage),
        extra=extra,
    )


def _message(message: _Message, given: Mapping[str, Any], place: int) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise Refusal(f"messages[{place}].role: unknown role '{message.role}'")
    extra = members_beyond(given, _KNOWN_OF_MESSAGE)
    parts = tuple(_parts(message, given))
    if role == "tool":
        parts = (ToolResult(message.tool_call_id or "", parts, extra.pop("name", "")),)
    return Message(role, parts, extra)


def _parts(message: _Message, given: Mapping[str, Any]) -> Iterator[Part]:
    if message.reasoning_content:
        yield Thinking(message.reasoning_content)
    if isinstance(message.content, str):
        if message.content:
            yield Text(message.content)
    elif message.content is not None:
        for part, raw in zip(message.content, given["content"], strict=True):
            yield _part(part, raw)
    if message.refusal:
        yield Text(message.refusal)
    for call, raw in zip(message.tool_calls or (), given.get("tool_calls") or (), strict=True):
        function = call.function or _Named()
        extra = members_beyond(raw, _KNOWN_OF_CALL)
        signature = signature_in(extra.get(MEMBER))
        yield ToolCall(call.id or "", function.name or "", function.arguments or "", extra, signature)


def _part(part: _Part, raw: Mapping[str, Any]) -> Part:
    if part.type == "text":
        return Text(part.text or "", members_beyond(raw, _KNOWN_OF_TEXT))
    if part.type == "image_url" and part.image_url is not None:
        return _image(part.image_url, members_beyond(raw, _KNOWN_OF_IMAGE))
    if part.type == "file" and part.file is not None:
        return _document(part.file)
    if part.type == "input_audio" and part.input_audio is not None:
        sound = part.input_audio
        return Media("audio", sound.data, f"audio/{sound.format}")
    return OtherPart(part.type, raw)


def _image(given: _Url | str, extra: Mapping[str, Any]) -> Image:
    url, detail = (given, None) if isinstance(given, str) else (given.url, given.detail)
    return image_at(url, detail, extra)


def _document(file: _File) -> Document:
    media_type, data = data_in(file.file_data or "") or (None, file.file_data)
    return Document(data=data, media_type=media_type, file_id=file.file_id, name=file.filename)


def _options(typed: _Request) -> Options:
    stop = typed.stop
    return Options(
        max_tokens=typed.max_completion_tokens or typed.max_tokens,
        temperature=typed.temperature,
        top_p=typed.top_p,
        top_k=typed.top_k,
        stop=(stop,) if isinstance(stop, str) else None if stop is None else tuple(stop),
        seed=typed.random_seed if typed.seed is None else typed.seed,
        presence_penalty=typed.presence_penalty,
        frequency_penalty=typed.frequency_penalty,
        n=typed.n,
        logprobs=typed.logprobs,
        top_logprobs=typed.top_logprobs,
    )


def _tool(tool: _Tool, raw: Mapping[str, Any]) -> Tool | OtherTool:
    function = tool.function
    if tool.type != "function" or function is None:
        return OtherTool(tool.type, raw)
    extra = members_beyond(raw, _KNOWN_OF_TOOL)
    return Tool(function.name or "", function.description, function.parameters, function.strict, extra)


def _tool_choice(given: Any) -> ToolChoice | None:
    if given is None:
        return None
    if isinstance(given, str) and given in _MODES:
        return ToolChoice(cast(Any, given))
    if given == _ANY:
        return ToolChoice("required")
    match given:
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("one", name)
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto" | "required" as mode, "tools": tools},
        }:
            names = tuple(tool["function"]["name"] for tool in tools if tool.get("type") == "function")
            return ToolChoice("other", raw=given, instead=cast(Any, mode), allowed=names)
        case _:
            return ToolChoice("other", raw=given)


def _response_format(given: Any) -> ResponseFormat | None:
    match given:
        case None:
            return None
        case {"type": "json_schema", "json_schema": {"schema": schema, **extra}}:
            return ResponseFormat("json_schema", schema, cast(dict[str, Any], extra))
        case {"type": "text" | "json_object" as kind}:
            return ResponseFormat(cast(Any, kind))
        case _:
            raise Refusal("response_format: expected the type text, json_object or json_schema")
