"""Requests of `/v2/chat`, to and from the neutral form. https://docs.cohere.com/v2/reference/chat"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Effort,
    Message,
    Options,
    OtherPart,
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
from tollhouse.llm.data_urls import image_at
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unsupported, members_beyond
from tollhouse.llm.formats.cohere_chat.encoded import encode_message, put_tools

FORM: Final = "cohere_chat"
#: neutral option → Cohere's
_OPTION_NAMES: Final = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
}
#: Cohere refuses what would be all tokens.
_MOST_P: Final = 0.99
#: what an answer is made from, and by which rules: no other form has that
_OWN_ONLY: Final = ("documents",)
#: Members of OpenAI's requests that are refused: without them the answer would be another one. A value
#: beside the name changes nothing.
_REFUSED: Final[Mapping[str, Any]] = {
    "logit_bias": {},
    "prediction": None,
    "audio": None,
    "modalities": ["text"],
    "web_search_options": None,
    "functions": [],
    "function_call": "none",
}
#: most tokens to think with, for efforts below the model's own; as Anthropic's guide has them
_BUDGETS: Final[Mapping[Effort, int]] = {"minimal": 1024, "low": 2048, "medium": 8192}
_NOT_SUPPORTED: Final = "not supported by Cohere's models"

Number = int | float | None


# To a provider


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    body: dict[str, Any] = {
        "model": chat.model,
        "messages": [
            turn
            for place, message in enumerate(chat.messages)
            for turn in encode_message(message, f"messages[{place}]", own=own, ignored=ignored)
        ],
        "stream": chat.stream,
    }
    _put_options(chat.options, body, ignored)
    put_tools(chat, body, own=own, ignored=ignored)
    if chat.response_format is not None:
        body["response_format"] = _encoded_format(chat.response_format)
    thinking = _encoded_thinking(chat)
    if thinking is not None:
        body["thinking"] = thinking
    if chat.user is not None:
        ignored.append("user")
    if own:
        return body | dict(chat.extra)
    for name, value in chat.extra.items():
        if name not in _REFUSED:
            ignored.append(name)
        elif value != _REFUSED[name]:
            raise Unsupported(name, f"{name} is {_NOT_SUPPORTED}")
    return body


def _put_options(options: Options, body: dict[str, Any], ignored: list[str]) -> None:
    for neutral, name in _OPTION_NAMES.items():
        value = getattr(options, neutral)
        if value is not None:
            body[name] = value
    if options.top_p is not None and options.top_p > _MOST_P:
        body["p"] = _MOST_P
    if options.top_logprobs is not None:
        ignored.append("top_logprobs")
    if (options.n or 1) > 1:
        raise Unsupported("n", f"n is {_NOT_SUPPORTED}")


def _encoded_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind == "json_schema":
        return {"type": "json_object", "json_schema": wanted.schema}
    return {"type": wanted.kind}


def _encoded_thinking(chat: ChatRequest) -> dict[str, Any] | None:
    if chat.thinking_tokens is not None:
        budget: int | None = chat.thinking_tokens
    elif chat.effort is not None:
        budget = 0 if chat.effort == "none" else _BUDGETS.get(chat.effort)
    else:
        return None
    if budget == 0:
        return {"type": "disabled"}
    return {"type": "enabled"} | ({} if budget is None else {"token_budget": budget})


# From a client


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Call(msgspec.Struct):
    id: str = ""
    function: _Function | None = None


class _Tool(msgspec.Struct):
    function: _Function


class _Url(msgspec.Struct):
    url: str
    detail: str | None = None


class _Piece(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    image_url: _Url | None = None


class _Message(msgspec.Struct):
    role: Role
    content: str | list[dict[str, Any]] | None = None
    tool_plan: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str = ""


class _Format(msgspec.Struct):
    type: Literal["text", "json_object"] = "text"
    json_schema: dict[str, Any] | None = None
    #: its earlier name
    schema: dict[str, Any] | None = None


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled"]
    token_budget: int | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    response_format: _Format | None = None
    thinking: _Thinking | None = None
    max_tokens: int | None = None
    temperature: Number = None
    p: Number = None
    k: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: Number = None
    frequency_penalty: Number = None
    logprobs: bool | None = None


_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(_Request))
_KNOWN_OF_MESSAGE: Final = frozenset(field.name for field in msgspec.structs.fields(_Message))
_KNOWN_OF_TEXT: Final = frozenset({"type", "text"})
_KNOWN_OF_CALL: Final = frozenset({"id", "type", "function"})
_KNOWN_OF_TOOL: Final = frozenset({"type", "function"})


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
        messages = tuple(_message(message) for message in typed.messages)
        tools = tuple(_tool(tool) for tool in typed.tools or ())
    except MALFORMED as error:
        raise Refusal(f"the request body is not a Cohere chat request: {error}") from None
    extra = members_beyond(raw, _KNOWN)
    thinking = typed.thinking
    effort: Effort | None = None
    if thinking is not None and thinking.token_budget is None:
        effort = "none" if thinking.type == "disabled" else "high"
    stop = typed.stop_sequences
    return ChatRequest(
        form=FORM,
        model=typed.model,
        messages=messages,
        stream=bool(typed.stream),
        options=Options(
            max_tokens=typed.max_tokens,
            temperature=typed.temperature,
            top_p=typed.p,
            top_k=typed.k,
            stop=None if stop is None else tuple(stop),
            seed=typed.seed,
            presence_penalty=typed.presence_penalty,
            frequency_penalty=typed.frequency_penalty,
            logprobs=typed.logprobs,
        ),
        tools=tools,
        tool_choice=_tool_choice(typed.tool_choice),
        response_format=_response_format(typed.response_format),
        effort=effort,
        thinking_tokens=None if thinking is None else thinking.token_budget,
        include_usage=True,
        extra=extra,
        own_only=tuple(name for name in _OWN_ONLY if extra.get(name)),
    )


def _message(raw: Mapping[str, Any]) -> Message:
    message = msgspec.convert(raw, type=_Message)
    extra = members_beyond(raw, _KNOWN_OF_MESSAGE)
    parts = tuple(_parts(message))
    if message.role == "tool":
        parts = (ToolResult(message.tool_call_id, parts),)
    return Message(message.role, parts, extra)


def _parts(message: _Message) -> Iterator[Part]:
    if message.tool_plan:
        yield Thinking(message.tool_plan, extra={"type": "tool_plan"})
    if isinstance(message.content, str):
        if message.content:
            yield Text(message.content)
    else:
        for raw in message.content or ():
            yield _piece(raw)
    for raw in message.tool_calls or ():
        call = msgspec.convert(raw, type=_Call)
        function = call.function or _Function()
        yield ToolCall(call.id, function.name, function.arguments or "", members_beyond(raw, _KNOWN_OF_CALL))


def _piece(raw: Mapping[str, Any]) -> Part:
    piece = msgspec.convert(raw, type=_Piece)
    if piece.type == "text":
        return Text(piece.text or "", members_beyond(raw, _KNOWN_OF_TEXT))
    if piece.type == "thinking":
        return Thinking(piece.thinking or "")
    if piece.type == "image_url" and piece.image_url is not None:
        return image_at(piece.image_url.url, piece.image_url.detail)
    return OtherPart(piece.type, raw)


def _tool(raw: Mapping[str, Any]) -> Tool:
    function = msgspec.convert(raw, type=_Tool).function
    extra = members_beyond(raw, _KNOWN_OF_TOOL)
    return Tool(function.name, function.description, function.parameters, None, extra)


def _tool_choice(given: str | None) -> ToolChoice | None:
    if given is None:
        return None
    return ToolChoice("required" if given == "REQUIRED" else "none")


def _response_format(given: _Format | None) -> ResponseFormat | None:
    if given is None:
        return None
    schema = given.json_schema or given.schema
    if schema is not None:
        return ResponseFormat("json_schema", schema, {"name": "answer"})
    return ResponseFormat(given.type)
