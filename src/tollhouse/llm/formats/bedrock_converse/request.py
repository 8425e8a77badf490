"""Requests of Converse and ConverseStream, to and from the neutral form.

Four objects of a request have members that are options in the neutral form. What is unknown in them is kept
in `extra` by the object's name, a dot and its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast, get_args

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Effort,
    Message,
    Options,
    OtherTool,
    ResponseFormat,
    Role,
    Tool,
    ToolChoice,
)
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, members_beyond
from tollhouse.llm.formats.bedrock_converse.blocks import cache_mark, grouped, parts_of
from tollhouse.llm.formats.bedrock_converse.encode import FORM, encode_request
from tollhouse.llm.formats.bedrock_converse.models import maker_of

__all__ = ["FORM", "decode_request", "encode_request"]

_EFFORTS: Final = frozenset(get_args(Effort))
_ROLES: Final[Mapping[str, Role]] = {"system": "system", "user": "user", "assistant": "assistant"}
#: no other provider guards an answer as this asks, or has the prompt that these are for
_OWN_ONLY: Final = ("guardrailConfig", "promptVariables")
_ANY: Final[Mapping[str, Any]] = {}


class _Message(msgspec.Struct):
    role: str
    content: list[dict[str, Any]] = []


class _Inference(msgspec.Struct):
    maxTokens: int | None = None
    temperature: int | float | None = None
    topP: int | float | None = None
    stopSequences: list[str] | None = None


class _ToolConfig(msgspec.Struct):
    tools: list[dict[str, Any]] = []
    toolChoice: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    textFormat: dict[str, Any] | None = None
    effort: str | None = None


class _Request(msgspec.Struct):
    messages: list[_Message] = []
    system: list[dict[str, Any]] | None = None
    inferenceConfig: _Inference | None = None
    toolConfig: _ToolConfig | None = None
    outputConfig: _OutputConfig | None = None
    additionalModelRequestFields: dict[str, Any] | None = None
    requestMetadata: dict[str, str] | None = None


class _InputSchema(msgspec.Struct):
    json: dict[str, Any]


class _ToolSpec(msgspec.Struct):
    name: str
    #: AWS's own SDKs always send one, others not for tools that take nothing
    inputSchema: _InputSchema | None = None
    description: str | None = None
    strict: bool | None = None


class _JsonSchema(msgspec.Struct):
    schema: str


_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(_Request))
_KNOWN_OF_MESSAGE: Final = frozenset(field.name for field in msgspec.structs.fields(_Message))
_KNOWN_OF_TOOL: Final = frozenset(field.name for field in msgspec.structs.fields(_ToolSpec))
_KNOWN_OF_OBJECTS: Final = {
    "inferenceConfig": frozenset(field.name for field in msgspec.structs.fields(_Inference)),
    "toolConfig": frozenset(field.name for field in msgspec.structs.fields(_ToolConfig)),
    "outputConfig": frozenset(field.name for field in msgspec.structs.fields(_OutputConfig)),
}


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """Model and stream are what the path tells. Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
        return _request(raw, typed, told)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a Converse request: {error}") from None


def _request(raw: Mapping[str, Any], typed: _Request, told: Told) -> ChatRequest:
    inference, tools = typed.inferenceConfig or _Inference(), typed.toolConfig or _ToolConfig()
    output = typed.outputConfig or _OutputConfig()
    additional = dict(typed.additionalModelRequestFields or {})
    metadata = dict(typed.requestMetadata or {})
    extra = members_beyond(raw, _KNOWN)
    for name, known in _KNOWN_OF_OBJECTS.items():
        extra |= {f"{name}.{member}": v for member, v in members_beyond(raw.get(name) or _ANY, known).items()}
    user = metadata.pop("user", None)
    if metadata:
        extra["requestMetadata"] = metadata
    effort = _effort(output, additional, told.model, extra)
    top_k = additional.pop("top_k") if type(additional.get("top_k")) is int else None
    thinking_tokens = _thinking_tokens(additional)
    extra |= {f"additionalModelRequestFields.{name}": value for name, value in additional.items()}
    return ChatRequest(
        form=FORM,
        model=told.model,
        messages=tuple(_messages(raw, typed)),
        stream=told.stream,
        options=Options(
            max_tokens=inference.maxTokens,
            temperature=inference.temperature,
            top_p=inference.topP,
            top_k=top_k,
            stop=None if inference.stopSequences is None else tuple(inference.stopSequences),
        ),
        tools=tuple(_tools(tools.tools)),
        tool_choice=_tool_choice(tools.toolChoice),
        response_format=_response_format(output.textFormat),
        effort=effort,
        thinking_tokens=thinking_tokens,
        user=user,
        include_usage=True,
        extra=extra,
        own_only=tuple(name for name in _OWN_ONLY if extra.get(name)),
    )


def _messages(raw: Mapping[str, Any], typed: _Request) -> Iterator[Message]:
    if typed.system:
        yield Message("system", tuple(parts_of(typed.system)))
    for place, (message, given) in enumerate(zip(typed.messages, raw.get("messages") or (), strict=True)):
        role = _ROLES.get(message.role)
        if role is None:
            raise Refusal(f"messages[{place}].role: unknown role '{message.role}'")
        try:
            parts = parts_of(message.content)
        except msgspec.ValidationError as error:
            raise Refusal(f"messages[{place}].content: {error}") from None
        extra = members_beyond(given, _KNOWN_OF_MESSAGE)
        for is_result, group in grouped(parts) or [(False, ())]:
            yield Message("tool" if is_result else role, group, extra)
            extra = {}


def _tools(given: list[dict[str, Any]]) -> list[Tool | OtherTool]:
    """A mark of the cache belongs to the tool before it."""
    tools: list[Tool | OtherTool] = []
    for raw in given:
        match raw:
            case {"cachePoint": _} if tools and isinstance(tools[-1], Tool) and cache_mark(raw):
                tools[-1] = replace(tools[-1], cache=cache_mark(raw))
            case {"toolSpec": dict() as spec} if _takes_json(spec.get("inputSchema")):
                typed = msgspec.convert(spec, _ToolSpec)
                extra = members_beyond(spec, _KNOWN_OF_TOOL)
                schema = None if typed.inputSchema is None else typed.inputSchema.json
                tools.append(Tool(typed.name, typed.description, schema, typed.strict, extra))
            case _:
                tools.append(OtherTool(next(iter(raw), ""), raw))
    return tools


def _takes_json(schema: Any) -> bool:
    return schema is None or (isinstance(schema, dict) and "json" in schema)


def _tool_choice(given: Mapping[str, Any] | None) -> ToolChoice | None:
    match given:
        case None:
            return None
        case {"auto": _}:
            return ToolChoice("auto")
        case {"any": _}:
            return ToolChoice("required")
        case {"tool": {"name": str(name)}}:
            return ToolChoice("one", name)
        case _:
            return ToolChoice("other", raw=given)


def _response_format(given: Mapping[str, Any] | None) -> ResponseFormat | None:
    match given:
        case None:
            return None
        case {"type": "json_schema", "structure": {"jsonSchema": {"schema": str(text), **extra}}}:
            try:
                schema = msgspec.json.decode(text)
            except MALFORMED as error:
                raise Refusal(f"outputConfig.textFormat: the schema is not JSON: {error}") from None
            return ResponseFormat("json_schema", schema, cast(dict[str, Any], extra))
        case _:
            raise Refusal("outputConfig.textFormat: expected the type json_schema and a jsonSchema")


def _effort(
    output: _OutputConfig, additional: dict[str, Any], model: str, extra: dict[str, Any]
) -> Effort | None:
    if output.effort is not None:
        if output.effort in _EFFORTS:
            return cast(Effort, output.effort)
        extra["outputConfig.effort"] = output.effort
    elif maker_of(model) == "gpt_oss" and additional.get("reasoning_effort") in _EFFORTS:
        return cast(Effort, additional.pop("reasoning_effort"))
    return None


def _thinking_tokens(additional: dict[str, Any]) -> int | None:
    """The budget, taken out, if that is all that is said of thinking."""
    match additional.get("thinking"):
        case {"type": "enabled", "budget_tokens": int(budget), **more} if not more and budget > 0:
            del additional["thinking"]
            return budget
        case {"type": "disabled", **more} if not more:
            del additional["thinking"]
            return 0
        case _:
            return None
