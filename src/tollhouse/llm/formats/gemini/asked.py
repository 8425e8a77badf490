"""Requests of `generateContent` from a client, read into the neutral form.

What is read is typed, so that a malformed request is refused with the place of its fault. Members that
no field covers keep their names in `extra`, in camel case, after the names of what they stand in.
"""

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, members_beyond
from tollhouse.llm.formats.gemini.names import camel, camel_in
from tollhouse.llm.formats.gemini.response import SIGNATURE
from tollhouse.llm.formats.gemini.schema import plain

FORM: Final = "gemini"
CONFIG: Final = "generationConfig."
THINKING: Final = "generationConfig.thinkingConfig."
TOOLS: Final = "toolConfig."
_JSON: Final = "application/json"
_EFFORTS: Final[Mapping[str, Effort]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_MODES: Final = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
#: the second is what clients of other APIs call it; Kong lets it through
_MODEL: Final = ("model", "assistant")
_SPEAKERS: Final = frozenset({"", "user", "function", "tool"})


class _Blob(msgspec.Struct, rename="camel"):
    data: str
    mime_type: str = ""


class _File(msgspec.Struct, rename="camel"):
    file_uri: str
    mime_type: str | None = None


class _Call(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: dict[str, Any] | None = None


class _Result(msgspec.Struct):
    name: str = ""
    id: str | None = None
    response: dict[str, Any] | None = None
    parts: list[dict[str, Any]] | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Call | None = None
    function_response: _Result | None = None


class _Thinking(msgspec.Struct, rename="camel"):
    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: float | None = None
    temperature: float | int | None = None
    top_p: float | int | None = None
    #: Google's own SDK sends 3.0
    top_k: float | None = None
    stop_sequences: list[str] | None = None
    seed: float | None = None
    presence_penalty: float | int | None = None
    frequency_penalty: float | int | None = None
    candidate_count: float | None = None
    response_logprobs: bool | None = None
    logprobs: float | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: Any = None
    thinking_config: _Thinking | None = None


class _Calling(msgspec.Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] | None = None


class _Function(msgspec.Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: Any = None


def _known(kind: type[msgspec.Struct], *more: str) -> frozenset[str]:
    return frozenset((*(field.encode_name for field in msgspec.structs.fields(kind)), *more))


_KNOWN: Final = frozenset(
    {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "model"}
)
_KNOWN_OF_CONFIG: Final = _known(_Config)
_KNOWN_OF_THINKING: Final = _known(_Thinking)
_KNOWN_OF_PART: Final = _known(_Part)
_KNOWN_OF_FUNCTION: Final = _known(_Function) - {"parameters"}


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body, type=dict[str, Any])
        return decode_members(camel(raw), told)
    except (*MALFORMED, TypeError) as error:
        raise Refusal(f"the request body is not a generateContent request: {error}") from None


def decode_members(given: dict[str, Any], told: Told) -> ChatRequest:
    config = _object(given, "generationConfig")
    camel_in(config, "thinkingConfig")
    typed = msgspec.convert(config, type=_Config)
    thinking = typed.thinking_config or _Thinking()
    extra = members_beyond(given, _KNOWN)
    extra |= _named(CONFIG, members_beyond(config, _KNOWN_OF_CONFIG))
    extra |= _named(THINKING, members_beyond(config.get("thinkingConfig") or {}, _KNOWN_OF_THINKING))
    tool_config = _object(given, "toolConfig")
    extra |= _named(TOOLS, members_beyond(tool_config, frozenset({"functionCallingConfig"})))
    budget = thinking.thinking_budget
    if budget is not None and budget < 0:
        extra[f"{THINKING}thinkingBudget"], budget = budget, None  # -1: the model decides
    effort = _EFFORTS.get((thinking.thinking_level or "").upper())
    return ChatRequest(
        form=FORM,
        model=told.model or str(given.get("model") or "").removeprefix("models/"),
        messages=(*_system(given.get("systemInstruction")), *_messages(given)),
        stream=told.stream,
        options=_options(typed),
        tools=tuple(_tools(given.get("tools") or ())),
        tool_choice=_choice(_object(tool_config, "functionCallingConfig")),
        response_format=_format(typed, extra),
        effort="none" if budget == 0 else effort,
        thinking_tokens=budget,
        show_thinking=thinking.include_thoughts,
        include_usage=True,
        extra=extra,
        own_only=tuple(_own_only(extra)),
    )


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    return camel(msgspec.convert(members.get(name) or {}, type=dict[str, Any]))


def _named(place: str, members: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{place}{name}": value for name, value in members.items()}


def _own_only(extra: Mapping[str, Any]) -> Iterator[str]:
    """Members without which the answer would be another one."""
    for name in ("cachedContent", f"{CONFIG}responseMimeType", f"{CONFIG}speechConfig"):
        if name in extra:
            yield name
    if extra.get(f"{CONFIG}responseModalities", ["TEXT"]) != ["TEXT"]:
        yield f"{CONFIG}responseModalities"


def _options(typed: _Config) -> Options:
    stop = typed.stop_sequences
    return Options(
        max_tokens=_whole(typed.max_output_tokens),
        temperature=typed.temperature,
        top_p=typed.top_p,
        top_k=_whole(typed.top_k),
        stop=None if stop is None else tuple(stop),
        seed=_whole(typed.seed),
        presence_penalty=typed.presence_penalty,
        frequency_penalty=typed.frequency_penalty,
        n=_whole(typed.candidate_count),
        logprobs=typed.response_logprobs,
        top_logprobs=_whole(typed.logprobs),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _format(typed: _Config, extra: dict[str, Any]) -> ResponseFormat | None:
    """Kinds of answers that no other form knows stay as they came."""
    kind = typed.response_mime_type
    schema = typed.response_json_schema
    if schema is None and typed.response_schema is not None:
        schema = plain(typed.response_schema)
    if kind == _JSON:
        if schema is None:
            return ResponseFormat("json_object")
        return ResponseFormat("json_schema", schema, {"name": "answer"})
    if kind in (None, "text/plain"):
        return None
    extra[f"{CONFIG}responseMimeType"] = kind
    if typed.response_schema is not None:
        extra[f"{CONFIG}responseSchema"] = typed.response_schema
    return None


def _tools(given: Any) -> Iterator[Tool | OtherTool]:
    for tool in _several(given):
        for kind, raw in camel(tool).items():
            if kind == "functionDeclarations":
                yield from (_function(camel(one)) for one in _several(raw))
            elif raw is not None:
                yield OtherTool(kind, {kind: raw})


def _function(given: dict[str, Any]) -> Tool:
    """Parameters in Gemini's own schema are kept beside what other forms understand of them."""
    typed = msgspec.convert(given, type=_Function)
    schema = typed.parameters_json_schema
    parameters = schema if isinstance(schema, dict) else plain(typed.parameters)
    return Tool(typed.name, typed.description, parameters, extra=members_beyond(given, _KNOWN_OF_FUNCTION))


def _choice(given: dict[str, Any]) -> ToolChoice | None:
    if not given:
        return None
    calling = msgspec.convert(given, type=_Calling)
    names = calling.allowed_function_names or []
    mode = _MODES.get(calling.mode.upper())
    if calling.mode.upper() == "VALIDATED" or (mode == "required" and len(names) > 1):
        return ToolChoice(
            "other", raw=given, instead="auto" if mode is None else "required", allowed=tuple(names)
        )
    if mode == "required" and len(names) == 1:
        return ToolChoice("one", names[0])
    if mode is None or names:
        return ToolChoice("other", raw=given)
    return ToolChoice("auto" if mode == "auto" else "none" if mode == "none" else "required")


# The conversation


def _system(given: Any) -> Iterator[Message]:
    if given is None:
        return
    parts = tuple(part for one, raw in _read([given]) for part in _parts(one, raw, "", []))
    if parts:
        yield Message("system", parts)


def _messages(given: dict[str, Any]) -> Iterator[Message]:
    """Results become messages of their own, for in other forms they are."""
    contents = _several(given.get("contents"))
    open_calls: list[ToolCall] = []
    for place, content in enumerate(contents):
        role = msgspec.convert(content.get("role"), type=str | None) or ""
        if role not in _MODEL and role not in _SPEAKERS:
            raise Refusal(f"contents[{place}].role: please use a valid role: user, model")
        parts = [part for one, raw in _read([content]) for part in _parts(one, raw, f"{place}", open_calls)]
        if role in _MODEL:
            numbered = [part for part in parts if isinstance(part, ToolCall)]
            open_calls += numbered
            yield Message("assistant", tuple(parts))
            continue
        run: list[Part] = []
        for part in parts:
            if run and isinstance(part, ToolResult) != isinstance(run[-1], ToolResult):
                yield _turn(run)
                run = []
            run.append(part)
        if run:
            yield _turn(run)


def _turn(parts: list[Part]) -> Message:
    return Message("tool" if isinstance(parts[0], ToolResult) else "user", tuple(parts))


def _read(contents: list[Any]) -> Iterator[tuple[list[_Part], list[dict[str, Any]]]]:
    for content in contents:
        given = content if isinstance(content, dict) else {"parts": [{"text": content}]}
        raw = [_renamed(part) for part in _several(given.get("parts") or [])]
        yield msgspec.convert(raw, type=list[_Part]), raw


def _several(given: Any) -> list[dict[str, Any]]:
    """A list of objects. Google's JSON takes one alone for a list of it, as its own examples have it."""
    objects: list[dict[str, Any]] = msgspec.convert(
        [given] if isinstance(given, dict) and given else given, type=list[dict[str, Any]]
    )
    return objects


def _renamed(part: dict[str, Any]) -> dict[str, Any]:
    renamed = camel(part)
    camel_in(renamed, "inlineData", "fileData", "functionCall", "functionResponse")
    return renamed


def _parts(
    parts: list[_Part], raw: list[dict[str, Any]], place: str, open_calls: list[ToolCall]
) -> Iterator[Part]:
    calls = 0
    for part, given in zip(parts, raw, strict=True):
        extra = members_beyond(given, _KNOWN_OF_PART)
        signature = part.thought_signature
        if part.function_call is not None:
            call = part.function_call
            extra |= _named("functionCall.", members_beyond(given["functionCall"], _known(_Call)))
            arguments = msgspec.json.encode(call.args or {}).decode()
            yield ToolCall(call.id or f"call_{place}_{calls}", call.name, arguments, extra, signature)
            calls += 1
        elif part.function_response is not None:
            yield _result(part.function_response, given["functionResponse"], open_calls)
        elif part.inline_data is not None or part.file_data is not None:
            yield _file(part, given, extra)
        elif part.text is None:
            yield OtherPart(next(iter(extra), "empty"), given)
        elif part.thought or (signature and not part.text):
            yield Thinking(part.text, signature, extra=extra)
        else:
            yield Text(part.text, extra | ({SIGNATURE: signature} if signature else {}))


def _file(part: _Part, given: dict[str, Any], extra: dict[str, Any]) -> Part:
    blob, file = part.inline_data, part.file_data
    if part.thought_signature:
        extra[SIGNATURE] = part.thought_signature
    if blob is not None:
        extra |= _named("inlineData.", members_beyond(given["inlineData"], _known(_Blob)))
        data, url, kind = blob.data, None, blob.mime_type or None
    else:
        extra |= _named("fileData.", members_beyond(given["fileData"], _known(_File)))
        data, url, kind = None, file.file_uri if file is not None else None, file.mime_type if file else None
    group = (kind or "").partition("/")[0]
    if group == "image":
        return Image(url, data, kind, extra=extra)
    if group in ("audio", "video"):
        return Media("audio" if group == "audio" else "video", data, kind, url, extra)
    return Document(data, kind, url, extra=extra)


def _result(result: _Result, given: dict[str, Any], open_calls: list[ToolCall]) -> ToolResult:
    found = result.response or {}
    is_error = found.keys() == {"error"} and isinstance(found["error"], str)
    if is_error or (found.keys() == {"result"} and isinstance(found["result"], str)):
        (text,) = found.values()
    else:
        text = msgspec.json.encode(found).decode()
    files = tuple(
        part for one, raw in _read([{"parts": result.parts or []}]) for part in _parts(one, raw, "", [])
    )
    call_id = _answered(result, open_calls)
    extra = members_beyond(given, _known(_Result))
    return ToolResult(call_id, (Text(text), *files), result.name, is_error, extra=extra)


def _answered(result: _Result, open_calls: list[ToolCall]) -> str:
    """The id of the call that a result belongs to: the one that has it, else the first of that name that
    is still open."""
    same_id = (call for call in open_calls if call.id == result.id)
    same_name = (call for call in open_calls if call.name == result.name)
    call = next(same_id, None) or next(same_name, None)
    if call is None:
        return result.id or ""
    open_calls.remove(call)
    return call.id
