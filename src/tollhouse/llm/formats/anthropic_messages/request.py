"""Requests of `/v1/messages`, to and from the neutral form.
https://platform.claude.com/docs/en/api/messages/create"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, cast

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Effort,
    Message,
    Options,
    OtherTool,
    Part,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.families.claude import known
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, members_beyond
from tollhouse.llm.formats.anthropic_messages.blocks import Blocks, cache_mark, marked, parts_of, shortest
from tollhouse.llm.formats.anthropic_messages.settings import Settings, encoded_choice, required_limit
from tollhouse.llm.formats.anthropic_messages.turns import Turns

FORM: Final = "anthropic_messages"
#: forms whose clients' thoughts have Anthropic's signatures, which hold on all hosts of its models:
#: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
_SIGNED: Final = frozenset({FORM, "bedrock_converse"})
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
_SAMPLING: Final = ("temperature", "top_p", "top_k")


# To a provider


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    blocks = Blocks(ignored, own=own, signed=chat.form in _SIGNED)
    turns = Turns(chat, blocks, ignored, own=own)
    system = turns.system
    if own:
        members = _own_members(chat)
    else:
        settings = Settings(chat, known(chat.model), ignored)
        members = settings.members
        if settings.instruction is not None:
            system = [*system, {"type": "text", "text": settings.instruction}]
    body: dict[str, Any] = {"model": chat.model, "messages": turns.messages}
    if system:
        body["system"] = shortest(system)
    if chat.stream:
        body["stream"] = True
    return body | members


def _own_members(chat: ChatRequest) -> dict[str, Any]:
    """What the client said, as it said it: it knows whom it talks to."""
    options = chat.options
    body: dict[str, Any] = {"max_tokens": required_limit(options.max_tokens, known(chat.model))}
    for name in _SAMPLING:
        if (value := getattr(options, name)) is not None:
            body[name] = value
    if options.stop is not None:
        body["stop_sequences"] = list(options.stop)
    if chat.tools:
        body["tools"] = [_own_tool(tool) for tool in chat.tools]
    choice = encoded_choice(chat.tool_choice, parallel=chat.parallel_tool_calls)
    if choice is not None:
        body["tool_choice"] = choice
    thinking = _own_thinking(chat)
    if thinking is not None:
        body["thinking"] = thinking
    config: dict[str, Any] = {}
    if chat.effort is not None:
        config["effort"] = chat.effort
    wanted = chat.response_format
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    metadata = {} if chat.user is None else {"user_id": chat.user}
    extra = dict(chat.extra)
    for name, members in (("output_config", config), ("metadata", metadata)):
        if members or name in extra:
            body[name] = members | extra.pop(name, {})
    return body | extra


def _own_thinking(chat: ChatRequest) -> dict[str, Any] | None:
    display = {}
    if chat.show_thinking is not None:
        display = {"display": "summarized" if chat.show_thinking else "omitted"}
    if chat.thinking_tokens == 0:
        return {"type": "disabled"}
    if chat.thinking_tokens is not None:
        return {"type": "enabled", "budget_tokens": chat.thinking_tokens, **display}
    return {"type": "adaptive", **display} if display else None


def _own_tool(tool: Tool | OtherTool) -> dict[str, Any]:
    if isinstance(tool, OtherTool):
        return dict(tool.raw)
    members = {"description": tool.description, "input_schema": tool.parameters, "strict": tool.strict}
    given = {name: value for name, value in members.items() if value is not None}
    return {"name": tool.name, **given, **tool.extra, **marked(tool.cache)}


# From a client


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]] = ""


class _Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    messages: list[_Message]
    model: str = ""
    max_tokens: int | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_k: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    #: the name of `output_config.format` when it was new
    output_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


#: tools and places that only Anthropic has: without them the model would do less than it was asked to
_OWN_ONLY: Final = ("mcp_servers", "container")
_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(_Request))
_KNOWN_OF_MESSAGE: Final = frozenset({"role", "content"})
_KNOWN_OF_TOOL: Final = frozenset(field.name for field in msgspec.structs.fields(_Tool))


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """A model or a stream that only the path tells (on Google's and Amazon's hosts) comes from there."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, _Request)
        messages = tuple(_messages(typed, raw))
    except MALFORMED as error:
        raise Refusal(f"the request body is no Anthropic messages request: {error}") from None
    config, metadata = dict(typed.output_config or {}), dict(typed.metadata or {})
    wanted = config.pop("format", None) or typed.output_format
    effort = config.pop("effort", None) if config.get("effort") in _EFFORTS else None
    user = metadata.pop("user_id") if isinstance(metadata.get("user_id"), str) else None
    budget, show, kept = _thinking(typed.thinking)
    choice, parallel = _choice(typed.tool_choice)
    extra = members_beyond(raw, _KNOWN) | kept
    for name, left in (("output_config", config), ("metadata", metadata)):
        if any(value is not None for value in left.values()):
            extra[name] = left
    return ChatRequest(
        form=FORM,
        model=typed.model or told.model,
        messages=messages,
        stream=typed.stream if typed.stream is not None else told.stream,
        options=_options(typed),
        tools=tuple(map(_tool, typed.tools or (), raw.get("tools") or ())),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=_format(wanted),
        effort=cast(Effort | None, effort),
        thinking_tokens=budget,
        show_thinking=show,
        user=user,
        include_usage=True,
        extra=extra,
        own_only=tuple(name for name in _OWN_ONLY if name in extra),
    )


def _options(typed: _Request) -> Options:
    return Options(
        max_tokens=typed.max_tokens,
        temperature=typed.temperature,
        top_p=typed.top_p,
        top_k=typed.top_k,
        stop=None if typed.stop_sequences is None else tuple(typed.stop_sequences),
    )


def _messages(typed: _Request, raw: Mapping[str, Any]) -> Iterator[Message]:
    system = parts_of(typed.system)
    if system:
        yield Message("system", system)
    for message, given in zip(typed.messages, raw["messages"], strict=True):
        parts, extra = parts_of(message.content), members_beyond(given, _KNOWN_OF_MESSAGE)
        if message.role == "user":
            yield from _user_turn(parts, extra)
        else:
            yield Message(message.role, parts, extra)


def _user_turn(parts: tuple[Part, ...], extra: dict[str, Any]) -> Iterator[Message]:
    """Results of tools stand in turns of the user here; each becomes a message of its own, for other
    forms answer one call a message."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    others = tuple(part for part in parts if not isinstance(part, ToolResult))
    for number, result in enumerate(results, 1):
        last = number == len(results) and not others
        yield Message("tool", (result,), extra if last else {})
    if others or not results:
        yield Message("user", others, extra)


def _thinking(raw: dict[str, Any] | None) -> tuple[int | None, bool | None, dict[str, Any]]:
    """The budget, whether to show thoughts, and what must be kept as it is to be said again."""
    if raw is None:
        return None, None, {}
    given = {name: value for name, value in raw.items() if value is not None}
    display = given.pop("display", None)
    show = {"summarized": True, "omitted": False}.get(display) if isinstance(display, str) else None
    is_told = display is None or show is not None
    match given:
        case {"type": "disabled", **more} if not more and display is None:
            return 0, None, {}
        case {"type": "enabled", "budget_tokens": int(budget), **more} if not more and is_told and budget > 0:
            return budget, show, {}
        case {"type": "adaptive", **more} if not more and show is not None:
            return None, show, {}
        case {"type": "between_tools"}:
            return 0, show, {"thinking": raw}
        case _:
            return None, show, {"thinking": raw}


def _tool(tool: _Tool, raw: Mapping[str, Any]) -> Tool | OtherTool:
    if tool.type not in (None, "custom"):
        return OtherTool(tool.type or "", raw)
    cache, kept = cache_mark(raw)
    extra = members_beyond(raw, _KNOWN_OF_TOOL) | kept
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, extra, cache)


def _choice(raw: dict[str, Any] | None) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be made side by side."""
    if raw is None:
        return None, None
    given = {name: value for name, value in raw.items() if value is not None}
    alone = given.pop("disable_parallel_tool_use", None)
    parallel = None if alone is None else not alone
    match given:
        case {"type": "auto" | "none" as mode, **more} if not more:
            return ToolChoice(cast(Literal["auto", "none"], mode)), parallel
        case {"type": "any", **more} if not more:
            return ToolChoice("required"), parallel
        case {"type": "tool", "name": str(name), **more} if not more:
            return ToolChoice("one", name), parallel
        case _:
            return ToolChoice("other", raw=raw), parallel


def _format(raw: Any) -> ResponseFormat | None:
    match raw:
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            # Other forms want a name for it.
            return ResponseFormat("json_schema", schema, {"name": "answer"})
        case _:
            raise Refusal("output_config.format: expected the type json_schema, with a schema")
