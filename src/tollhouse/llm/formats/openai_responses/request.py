"""Requests of `/v1/responses`, to and from the neutral form.

Members that stand in an object of their own keep their names in `extra` after a dot, as
`text.verbosity`. https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Message,
    Options,
    OtherTool,
    ResponseFormat,
    Text,
    Tool,
    ToolChoice,
)
from tollhouse.llm.families.openai_reasoning import effort_for, is_reasoning
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unsupported, members_beyond
from tollhouse.llm.formats.openai_responses.agents import agent_tool
from tollhouse.llm.formats.openai_responses.encoded import encode_message
from tollhouse.llm.formats.openai_responses.items import decode_input

FORM: Final = "openai_responses"
_CHAT: Final = "openai_chat"
_MODES: Final = frozenset({"auto", "none", "required"})
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
#: state that a provider keeps: none of it can be had from another one. A value beside the name says that
#: it is not used.
_OWN_ONLY: Final[Mapping[str, Any]] = {
    "previous_response_id": "",
    "conversation": None,
    "background": False,
    "prompt": None,
}
#: Members of chat completions that mean the same here, by their names here
_AS_IN_CHAT: Final = {
    "metadata": "metadata",
    "store": "store",
    "service_tier": "service_tier",
    "safety_identifier": "safety_identifier",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_retention": "prompt_cache_retention",
    "prompt_cache_options": "prompt_cache_options",
    "moderation": "moderation",
    "verbosity": "text.verbosity",
}
#: Refused: without them the answer would be another one. A value beside the name changes nothing.
_REFUSED: Final[Mapping[str, Any]] = {
    "logit_bias": {},
    "prediction": None,
    "audio": None,
    "modalities": ["text"],
    "web_search_options": None,
    "functions": [],
    "function_call": "none",
}
_PROOFS: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
_NOT_SUPPORTED: Final = "not supported by models served through OpenAI's responses"

Number = int | float | None


# From a client


class _Text(msgspec.Struct):
    format: dict[str, Any] | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Request(msgspec.Struct):
    model: str = ""
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: Number = None
    top_p: Number = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    user: str | None = None


_KNOWN: Final = frozenset(
    {*(field.name for field in msgspec.structs.fields(_Request)), "tool_choice"} - {"include"}
)
_KNOWN_OF_TEXT: Final = frozenset({"format"})
_KNOWN_OF_SCHEMA: Final = frozenset({"type", "schema"})
_KNOWN_OF_REASONING: Final = frozenset({"effort"})
_KNOWN_OF_TOOL: Final = frozenset(field.name for field in msgspec.structs.fields(_Tool))


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
        tools = tuple(_tool(msgspec.convert(tool, type=_Tool), tool) for tool in typed.tools or ())
    except MALFORMED as error:
        raise Refusal(f"the request body is not a request for a response: {error}") from None
    extra = members_beyond(raw, _KNOWN)
    own_only = tuple(name for name, unused in _OWN_ONLY.items() if extra.get(name, unused) != unused)
    if typed.input is None and not own_only:
        raise Refusal("input: required")
    reasoning = typed.reasoning or _Reasoning()
    if reasoning.effort is not None and reasoning.effort not in _EFFORTS:
        raise Refusal(f"reasoning.effort: unknown effort '{reasoning.effort}'")
    for name, known in (("text", _KNOWN_OF_TEXT), ("reasoning", _KNOWN_OF_REASONING)):
        extra |= {f"{name}.{key}": value for key, value in members_beyond(raw.get(name) or {}, known).items()}
    system = [Message("system", (Text(typed.instructions),))] if typed.instructions else []
    return ChatRequest(
        form=FORM,
        model=typed.model,
        messages=(*system, *decode_input(typed.input or [])),
        stream=bool(typed.stream),
        options=Options(
            max_tokens=typed.max_output_tokens,
            temperature=typed.temperature,
            top_p=typed.top_p,
            logprobs=True if LOGPROBS in (typed.include or ()) else None,
            top_logprobs=typed.top_logprobs,
        ),
        tools=tools,
        tool_choice=_tool_choice(raw.get("tool_choice")),
        parallel_tool_calls=typed.parallel_tool_calls,
        response_format=_response_format(None if typed.text is None else typed.text.format),
        effort=cast(Any, reasoning.effort),
        show_thinking=True if reasoning.summary else None,
        user=typed.user,
        include_usage=True,
        extra=extra,
        own_only=own_only,
    )


def _tool(tool: _Tool, raw: Mapping[str, Any]) -> Tool | OtherTool:
    if (agents := agent_tool(raw)) is not None:
        return agents
    if tool.type != "function":
        return OtherTool(tool.type, raw)
    extra = members_beyond(raw, _KNOWN_OF_TOOL)
    return Tool(tool.name or "", tool.description, tool.parameters, tool.strict, extra)


def _tool_choice(given: Any) -> ToolChoice | None:
    if given is None:
        return None
    if isinstance(given, str) and given in _MODES:
        return ToolChoice(cast(Any, given))
    match given:
        case {"type": "function", "name": str(name)}:
            return ToolChoice("one", name)
        case {"type": "custom", "name": str(name)}:
            return ToolChoice("one", name, given)
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(tools)}:
            names = tuple(tool["name"] for tool in tools if "name" in tool)
            return ToolChoice("other", raw=given, instead=cast(Any, mode), allowed=names)
        case _:
            return ToolChoice("other", raw=given)


def _response_format(given: dict[str, Any] | None) -> ResponseFormat | None:
    match given:
        case None:
            return None
        case {"type": "json_schema", "schema": schema}:
            return ResponseFormat("json_schema", schema, members_beyond(given, _KNOWN_OF_SCHEMA))
        case {"type": "text" | "json_object" as kind}:
            return ResponseFormat(cast(Any, kind))
        case _:
            raise Refusal("text.format: expected the type text, json_object or json_schema")


# To a provider


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    body: dict[str, Any] = {"model": chat.model}
    messages = list(enumerate(chat.messages))
    if len(messages) > 1 and (instructions := _instructions(messages[0][1], own=own)):
        body["instructions"] = instructions
        del messages[0]
    body["input"] = [
        item
        for place, message in messages
        for item in encode_message(message, f"messages[{place}]", own=own, ignored=ignored)
    ]
    if chat.stream:
        body["stream"] = True
    _put_options(chat, body, ignored)
    _put_tools(chat, body, own=own)
    if chat.response_format is not None:
        _put(body, "text.format", _encoded_format(chat.response_format))
    if chat.effort is not None:
        _put(body, "reasoning.effort", chat.effort)
    if chat.user is not None:
        body["user"] = chat.user
    if own:
        for name, value in chat.extra.items():
            _put(body, name, value)
    else:
        _put_foreign(chat, body, ignored)
    return body


def _instructions(message: Message, *, own: bool) -> str:
    """The first message, if it is the system's and nothing but text; else nothing."""
    if message.role != "system" or (own and message.extra):
        return ""
    texts = [part.text for part in message.parts if isinstance(part, Text) and not (own and part.extra)]
    return "\n\n".join(texts) if len(texts) == len(message.parts) else ""


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """Sets a member, which may be in an object: `text.verbosity`."""
    outer, dot, inner = name.partition(".")
    if dot and outer in ("text", "reasoning"):
        body.setdefault(outer, {})[inner] = value
    else:
        body[name] = value


def _put_options(chat: ChatRequest, body: dict[str, Any], ignored: list[str]) -> None:
    options = chat.options
    named = {
        "max_output_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_logprobs": options.top_logprobs,
        "parallel_tool_calls": chat.parallel_tool_calls,
    }
    body |= {name: value for name, value in named.items() if value is not None}
    if options.stop:
        raise Unsupported("stop", f"stop is {_NOT_SUPPORTED}")
    if (options.n or 1) > 1:
        raise Unsupported("n", f"n is {_NOT_SUPPORTED}")
    ignored += [name for name in ("top_k", "seed") if getattr(options, name) is not None]
    ignored += [name for name in ("presence_penalty", "frequency_penalty") if getattr(options, name)]


def _put_tools(chat: ChatRequest, body: dict[str, Any], *, own: bool) -> None:
    if chat.tools:
        body["tools"] = [_encoded_tool(tool, own=own) for tool in chat.tools]
    choice = chat.tool_choice
    if choice is None:
        return
    if choice.mode == "other" and not own:
        raise Unsupported("tool_choice", "tool_choice: this choice is not supported by this model's provider")
    one = (choice.raw if own else None) or {"type": "function", "name": choice.name}
    body["tool_choice"] = (
        choice.raw if choice.mode == "other" else one if choice.mode == "one" else choice.mode
    )


def _encoded_tool(tool: Tool | OtherTool, *, own: bool) -> dict[str, Any]:
    if isinstance(tool, OtherTool):
        if not own:
            raise Unsupported(
                "tools", f"tools: the type '{tool.kind}' is not supported by this model's provider"
            )
        return dict(tool.raw)
    if own and tool.kind != "function":
        return dict(tool.extra)
    # Functions are strict here unless told, in other forms only if told.
    strict = tool.strict if own else bool(tool.strict)
    members = {"description": tool.description, "parameters": tool.parameters, "strict": strict}
    given = {name: value for name, value in members.items() if value is not None}
    return {"type": "function", "name": tool.name, **given, **(tool.extra if own else {})}


def _encoded_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    return {"type": "json_schema", "name": "answer", **wanted.extra, "schema": wanted.schema}


def _put_foreign(chat: ChatRequest, body: dict[str, Any], ignored: list[str]) -> None:
    """What clients of other forms expect without saying so, and what they said beyond the neutral form."""
    # Other forms keep nothing at the provider; this one does unless told.
    body["store"] = False
    include = []
    if is_reasoning(chat.model):
        # Others refuse to be asked. Without the proofs a thought cannot be sent back.
        include.append(_PROOFS)
    if chat.options.logprobs:
        include.append(LOGPROBS)
    if include:
        body["include"] = include
    if chat.show_thinking:
        _put(body, "reasoning.summary", "auto")
    if chat.thinking_tokens is not None and chat.effort is None:
        _put(body, "reasoning.effort", effort_for(chat.thinking_tokens))
    for name, value in chat.extra.items():
        if name == "service_tier" or (chat.form == _CHAT and name in _AS_IN_CHAT):
            _put(body, _AS_IN_CHAT[name], value)
        elif name not in _REFUSED:
            ignored.append(name)
        elif value != _REFUSED[name]:
            raise Unsupported(name, f"{name} is {_NOT_SUPPORTED}")
