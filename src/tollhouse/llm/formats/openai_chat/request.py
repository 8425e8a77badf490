"""Chat completion requests, to and from the neutral form.

What is read is typed, so that a malformed request is refused with the place of its fault; what is not
read is kept beside it, in `extra`.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import fields
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
from tollhouse.llm.families.openai_reasoning import limit_name
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
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_OPTIONS: Final = tuple(field.name for field in fields(Options))
_DATA_URL: Final = "data:"
_BASE64: Final = ";base64,"

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
    if (inside := _data_in(url)) is not None:
        return Image(data=inside[1], media_type=inside[0], detail=detail, extra=extra)
    return Image(url=url, detail=detail, extra=extra)


def _data_in(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a `data:` URL."""
    head, mark, data = url.partition(_BASE64)
    return (head.removeprefix(_DATA_URL), data) if mark and head.startswith(_DATA_URL) else None


def _document(file: _File) -> Document:
    media_type, data = _data_in(file.file_data or "") or (None, file.file_data)
    return Document(data=data, media_type=media_type, file_id=file.file_id, name=file.filename)


def _options(typed: _Request) -> Options:
    stop = typed.stop
    return Options(
        max_tokens=typed.max_completion_tokens or typed.max_tokens,
        temperature=typed.temperature,
        top_p=typed.top_p,
        top_k=typed.top_k,
        stop=(stop,) if isinstance(stop, str) else None if stop is None else tuple(stop),
        seed=typed.seed,
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
    match given:
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("one", name)
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


# To a provider


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    body: dict[str, Any] = {
        "model": chat.model,
        "messages": [_encoded(message, own=own) for message in chat.messages],
    }
    for name in _OPTIONS:
        value = getattr(chat.options, name)
        if value is not None:
            body[limit_name(chat.model) if name == "max_tokens" else name] = value
    if chat.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if chat.tools:
        body["tools"] = [_encoded_tool(tool, own=own) for tool in chat.tools]
    if chat.tool_choice is not None:
        body["tool_choice"] = _encoded_choice(chat.tool_choice)
    if chat.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = chat.parallel_tool_calls
    if chat.response_format is not None:
        body["response_format"] = _encoded_format(chat.response_format)
    if chat.effort is not None:
        body["reasoning_effort"] = chat.effort
    if chat.user is not None:
        body["user"] = chat.user
    if own:
        return body | dict(chat.extra)
    ignored += chat.extra
    return body


def _encoded(message: Message, *, own: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role}
    parts = message.parts
    if message.role == "tool":
        results = [part for part in parts if isinstance(part, ToolResult)]
        body["tool_call_id"] = results[0].call_id if results else ""
        parts = tuple(inner for result in results for inner in result.parts)
    calls = [_encoded_call(part, own=own) for part in parts if isinstance(part, ToolCall)]
    content = [_encoded_part(part, own=own) for part in parts if not isinstance(part, ToolCall | Thinking)]
    thoughts = "".join(part.text for part in parts if isinstance(part, Thinking))
    if len(content) == 1 and content[0].keys() == _KNOWN_OF_TEXT:
        body["content"] = content[0]["text"]
    else:
        body["content"] = content or (None if calls else "")
    if calls:
        body["tool_calls"] = calls
    if thoughts:
        body["reasoning_content"] = thoughts
    return body | _kept(message.extra, own=own)


def _kept(extra: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """Members that no field covers mean something only in the form they came in."""
    return dict(extra) if own else {}


def _encoded_part(part: Part, *, own: bool) -> dict[str, Any]:
    match part:
        case Text(text, extra):
            return {"type": "text", "text": text, **_kept(extra, own=own)}
        case Document() if part.url is None:
            return {"type": "file", "file": _encoded_file(part)}
        case Media("audio", str(data), str(media_type)):
            sound = {"data": data, "format": media_type.removeprefix("audio/")}
            return {"type": "input_audio", "input_audio": sound}
        case Image(url, data, media_type, detail, extra):
            image = {"url": url or f"{_DATA_URL}{media_type}{_BASE64}{data}"} | (
                {"detail": detail} if detail else {}
            )
            return {"type": "image_url", "image_url": image, **_kept(extra, own=own)}
        case OtherPart(_, raw) if own:
            return dict(raw)
        case _:
            kind = part.kind if isinstance(part, OtherPart) else type(part).__name__
            raise Refusal(f"content of type '{kind}' is not supported by this model's provider")


def _encoded_file(file: Document) -> dict[str, Any]:
    if file.file_id is not None:
        return {"file_id": file.file_id}
    data, media_type = file.data, file.media_type
    if file.text is not None:
        data, media_type = b64encode(file.text.encode()).decode(), "text/plain"
    return {"filename": file.name or "document", "file_data": f"{_DATA_URL}{media_type}{_BASE64}{data}"}


def _encoded_call(call: ToolCall, *, own: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **_kept(call.extra, own=own)}


def _encoded_tool(tool: Tool | OtherTool, *, own: bool) -> dict[str, Any]:
    if isinstance(tool, OtherTool):
        if not own:
            raise Refusal(f"tools: the type '{tool.kind}' is not supported by this model's provider")
        return dict(tool.raw)
    function = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    given = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": {"name": tool.name} | given, **_kept(tool.extra, own=own)}


def _encoded_choice(choice: ToolChoice) -> Any:
    if choice.mode == "one":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.raw if choice.mode == "other" else choice.mode


def _encoded_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    return {"type": "json_schema", "json_schema": {**wanted.extra, "schema": wanted.schema}}
