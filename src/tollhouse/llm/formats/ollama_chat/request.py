"""Requests of `/api/chat`, to and from the neutral form."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Effort,
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
    ToolResult,
)
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unsupported, members_beyond
from tollhouse.llm.formats.ollama_chat.response import media_type_of

FORM: Final = "ollama_chat"
#: neutral option → Ollama's
_OPTION_NAMES: Final = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_LOGPROBS: Final = {"logprobs": "logprobs", "top_logprobs": "top_logprobs"}
#: Members of OpenAI's requests by what becomes of them here. Passed: the same name means the same.
_PASSED: Final = frozenset({"keep_alive"})
#: Refused: without them the answer would be another one. A value beside the name changes nothing.
_REFUSED: Final[Mapping[str, Any]] = {
    "logit_bias": {},
    "prediction": None,
    "audio": None,
    "modalities": ["text"],
    "web_search_options": None,
    "store": False,
    "functions": [],
    "function_call": "none",
}
_THINK: Final[Mapping[Effort, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}
_EFFORTS: Final[Mapping[Any, Effort]] = {
    False: "none",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
}
_NOT_SUPPORTED: Final = "not supported by models served through Ollama"


# To a provider


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    names: dict[str, str] = {}
    body: dict[str, Any] = {
        "model": chat.model,
        "messages": [
            turn
            for place, message in enumerate(chat.messages)
            for turn in _turns(message, f"messages[{place}]", names, ignored)
        ],
        "stream": chat.stream,
        "options": _given(chat.options, _OPTION_NAMES),
    }
    if chat.effort is not None:
        body["think"] = _THINK[chat.effort]
    elif chat.thinking_tokens is not None:
        body["think"] = chat.thinking_tokens > 0
    body |= _given(chat.options, _LOGPROBS)
    if (chat.options.n or 1) > 1:
        raise Unsupported("n", f"n is {_NOT_SUPPORTED}")
    if chat.user is not None:
        ignored.append("user")
    tools = _encoded_tools(chat, ignored)
    if tools:
        body["tools"] = tools
    wanted = chat.response_format
    if wanted is not None and wanted.kind != "text":
        body["format"] = wanted.schema if wanted.kind == "json_schema" else "json"
    if chat.parallel_tool_calls is False:
        ignored.append("parallel_tool_calls")
    return body | _encoded_extra(chat.extra, ignored)


def _given(options: Options, names: Mapping[str, str]) -> dict[str, Any]:
    """The options that were told, by Ollama's names for them."""
    told = ((name, getattr(options, neutral)) for neutral, name in names.items())
    return {name: value for name, value in told if value is not None}


def _encoded_extra(extra: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    passed = {}
    for name, value in extra.items():
        if name in _PASSED:
            passed[name] = value
        elif name not in _REFUSED:
            ignored.append(name)
        elif value != _REFUSED[name]:
            raise Unsupported(name, f"{name} is {_NOT_SUPPORTED}")
    return passed


def _turns(
    message: Message, place: str, names: dict[str, str], ignored: list[str]
) -> Iterator[dict[str, Any]]:
    """A message as Ollama's: one, or one for each result of a tool. `names` remembers the calls' names
    by id, for Ollama tells a result by the name of its tool."""
    ignored += [f"{place}.{name}" for name in message.extra]
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResult):
                turn: dict[str, Any] = {"role": "tool", "content": _text(part.parts, place, ignored)}
                name = part.name or names.get(part.call_id, "")
                if name:
                    turn["tool_name"] = name
                if part.call_id:
                    turn["tool_call_id"] = part.call_id
                yield turn
        return
    turn = {"role": message.role, "content": _text(message.parts, place, ignored)}
    thoughts = "".join(part.text for part in message.parts if isinstance(part, Thinking))
    if thoughts:
        turn["thinking"] = thoughts
    images = [_picture(part, place) for part in message.parts if isinstance(part, Image)]
    if images:
        turn["images"] = images
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        names |= {call.id: call.name for call in calls}
        turn["tool_calls"] = [_encoded_call(call, place, ignored) for call in calls]
    yield turn


def _text(parts: tuple[Part, ...], place: str, ignored: list[str]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
            ignored += [f"{place}.content.{name}" for name in part.extra]
        elif isinstance(part, OtherPart):
            raise Refusal(f"{place}: content of type '{part.kind}' is {_NOT_SUPPORTED}")
        elif isinstance(part, Document | Media):
            raise Refusal(f"{place}: files are {_NOT_SUPPORTED}")
    return "".join(texts)


def _picture(image: Image, place: str) -> str:
    if image.data is None:
        raise Refusal(f"{place}: a picture must be given as data, its address is not fetched for Ollama")
    return image.data


def _encoded_call(call: ToolCall, place: str, ignored: list[str]) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        # A model wrote this, and the conversation must be able to go on: the tool's answer says what
        # was wrong with it.
        arguments = {}
        ignored.append(f"{place}.tool_calls.function.arguments")
    encoded: dict[str, Any] = {"function": {"name": call.name, "arguments": arguments}}
    return {"id": call.id, **encoded} if call.id else encoded


def _encoded_tools(chat: ChatRequest, ignored: list[str]) -> list[dict[str, Any]]:
    choice = chat.tool_choice
    if choice is not None and choice.mode == "none":
        return []
    if choice is not None and choice.mode != "auto" and chat.tools:
        raise Unsupported(
            "tool_choice",
            "tool_choice: models served through Ollama decide themselves whether to call a tool",
        )
    tools = []
    for tool in chat.tools:
        if isinstance(tool, OtherTool):
            raise Unsupported("tools", f"tools: the type '{tool.kind}' is {_NOT_SUPPORTED}")
        if tool.strict:
            ignored.append("tools.function.strict")
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        given = {name: value for name, value in function.items() if value is not None}
        tools.append({"type": "function", "function": given})
    return tools


# From a client


class _Function(msgspec.Struct):
    name: str = ""
    arguments: dict[str, Any] = {}
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Tool(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    role: Role
    content: str | None = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str = ""
    tool_call_id: str = ""


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message] = []
    stream: bool = True
    tools: list[_Tool] | None = None
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    options: dict[str, Any] | None = None


_KNOWN: Final = frozenset({*(field.name for field in msgspec.structs.fields(_Request)), *_LOGPROBS})


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """Options that only Ollama has keep their names in `extra`, after `options.`."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
        given = dict(typed.options or {})
        found = {neutral: given.pop(name, None) for neutral, name in _OPTION_NAMES.items()}
        found |= {neutral: raw.get(name) for neutral, name in _LOGPROBS.items()}
        if isinstance(found["stop"], str):
            found["stop"] = [found["stop"]]
        if found["max_tokens"] in (-1, -2):
            found["max_tokens"] = None  # Ollama's words for no limit
        options = msgspec.convert(found, type=Options)
    except MALFORMED as error:
        raise Refusal(f"the request body is not an Ollama chat request: {error}") from None
    open_calls: list[ToolCall] = []
    return ChatRequest(
        form=FORM,
        model=typed.model,
        messages=tuple(_message(message, place, open_calls) for place, message in enumerate(typed.messages)),
        stream=typed.stream,
        options=options,
        tools=tuple(
            Tool(tool.function.name, tool.function.description, tool.function.parameters)
            for tool in typed.tools or ()
        ),
        response_format=_response_format(typed.format),
        effort=_EFFORTS.get(typed.think),
        include_usage=True,
        extra=members_beyond(raw, _KNOWN) | {f"options.{name}": value for name, value in given.items()},
    )


def _message(message: _Message, place: int, open_calls: list[ToolCall]) -> Message:
    text = (Text(message.content),) if message.content else ()
    if message.role == "tool":
        call_id = message.tool_call_id or _answered(message.tool_name, open_calls)
        return Message("tool", (ToolResult(call_id, text, message.tool_name),))
    thoughts = (Thinking(message.thinking),) if message.thinking else ()
    images = tuple(Image(data=data, media_type=media_type_of(data)) for data in message.images or ())
    calls = tuple(
        ToolCall(
            call.id or f"call_{place}_{number}",
            call.function.name,
            msgspec.json.encode(call.function.arguments).decode(),
        )
        for number, call in enumerate(message.tool_calls or ())
    )
    open_calls += calls
    return Message(message.role, (*thoughts, *text, *images, *calls))


def _answered(name: str, open_calls: list[ToolCall]) -> str:
    """The id of the call that a result without one belongs to: the first still open, by name if told."""
    for call in open_calls:
        if not name or call.name == name:
            open_calls.remove(call)
            return call.id
    return ""


def _response_format(given: str | dict[str, Any] | None) -> ResponseFormat | None:
    if not given:
        return None
    if isinstance(given, dict):
        return ResponseFormat("json_schema", given, {"name": "answer"})
    return ResponseFormat("json_object")
