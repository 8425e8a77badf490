"""Chat completion requests for a provider, from the neutral form."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.data_urls import data_url, url_of
from tollhouse.llm.families.openai_reasoning import effort_for, is_reasoning, limit_name
from tollhouse.llm.form import Refusal, Unsupported
from tollhouse.llm.formats.openai_chat.request import FORM

_RESPONSES: Final = "openai_responses"
_OPTIONS: Final = tuple(field.name for field in fields(Options))
_TEXT_ONLY: Final = frozenset({"type", "text"})
#: members of responses that mean the same here, by their names here
_AS_IN_RESPONSES: Final = {
    "metadata": "metadata",
    "store": "store",
    "service_tier": "service_tier",
    "safety_identifier": "safety_identifier",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_retention": "prompt_cache_retention",
    "prompt_cache_options": "prompt_cache_options",
    "moderation": "moderation",
    "text.verbosity": "verbosity",
}
_NOT_SUPPORTED: Final = "is not supported by this model's provider"


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    body: dict[str, Any] = {"model": chat.model, "messages": list(_turns(chat.messages, own=own))}
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
        body["tool_choice"] = _encoded_choice(chat.tool_choice, own=own)
    if chat.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = chat.parallel_tool_calls
    if chat.response_format is not None:
        body["response_format"] = _encoded_format(chat.response_format)
    if chat.effort is not None:
        body["reasoning_effort"] = chat.effort
    elif chat.thinking_tokens is not None and is_reasoning(chat.model):
        body["reasoning_effort"] = effort_for(chat.thinking_tokens)
    elif chat.thinking_tokens:
        ignored.append("thinking")
    if chat.user is not None:
        body["user"] = chat.user
    if own:
        return body | dict(chat.extra)
    for name, value in chat.extra.items():
        if name == "service_tier" or (chat.form == _RESPONSES and name in _AS_IN_RESPONSES):
            body[_AS_IN_RESPONSES[name]] = value
        else:
            ignored.append(name)
    return body


def _turns(messages: Iterable[Message], *, own: bool) -> Iterator[dict[str, Any]]:
    """Results of tools are text here; pictures among them are shown by the user, when all are told."""
    shown: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield _result(part, shown, own=own) | _kept(message.extra, own=own)
            continue
        if shown:
            yield {"role": "user", "content": shown}
            shown = []
        yield _turn(message, own=own)
    if shown:
        yield {"role": "user", "content": shown}


def _result(result: ToolResult, shown: list[dict[str, Any]], *, own: bool) -> dict[str, Any]:
    pictures = [part for part in result.parts if isinstance(part, Image)]
    others = [part for part in result.parts if not isinstance(part, Image)]
    shown += [_encoded_part(picture, own=own) for picture in pictures]
    body = {"role": "tool", "tool_call_id": result.call_id, "content": _content(others, own=own) or ""}
    return body | {"name": result.name} if own and result.name else body


def _turn(message: Message, *, own: bool) -> dict[str, Any]:
    parts = message.parts
    calls = [_encoded_call(part, own=own) for part in parts if isinstance(part, ToolCall)]
    thoughts = "".join(part.text for part in parts if isinstance(part, Thinking))
    content = _content([part for part in parts if not isinstance(part, ToolCall | Thinking)], own=own)
    body: dict[str, Any] = {"role": message.role, "content": content or (None if calls else "")}
    if calls:
        body["tool_calls"] = calls
    if thoughts:
        body["reasoning_content"] = thoughts
    return body | _kept(message.extra, own=own)


def _content(parts: Iterable[Part], *, own: bool) -> str | list[dict[str, Any]]:
    content = [_encoded_part(part, own=own) for part in parts]
    if len(content) == 1 and content[0].keys() == _TEXT_ONLY:
        return str(content[0]["text"])
    return content


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
        case Image(detail=detail):
            image = {"url": url_of(part)} | ({"detail": detail} if detail else {})
            return {"type": "image_url", "image_url": image, **_kept(part.extra, own=own)}
        case OtherPart(_, raw) if own:
            return dict(raw)
        case _:
            kind = part.kind if isinstance(part, OtherPart) else type(part).__name__
            raise Refusal(f"content of type '{kind}' {_NOT_SUPPORTED}")


def _encoded_file(file: Document) -> dict[str, Any]:
    if file.file_id is not None:
        return {"file_id": file.file_id}
    data, media_type = file.data, file.media_type
    if file.text is not None:
        data, media_type = b64encode(file.text.encode()).decode(), "text/plain"
    return {"filename": file.name or "document", "file_data": data_url(media_type, data)}


def _encoded_call(call: ToolCall, *, own: bool) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments if own else call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **_kept(call.extra, own=own)}


def _encoded_tool(tool: Tool | OtherTool, *, own: bool) -> dict[str, Any]:
    if isinstance(tool, OtherTool):
        if not own:
            raise Unsupported("tools", f"tools: the type '{tool.kind}' {_NOT_SUPPORTED}")
        return dict(tool.raw)
    function = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    given = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": {"name": tool.name} | given, **_kept(tool.extra, own=own)}


def _encoded_choice(choice: ToolChoice, *, own: bool) -> Any:
    if choice.mode == "one":
        return {"type": "function", "function": {"name": choice.name}}
    if choice.mode != "other":
        return choice.mode
    if not own:
        raise Unsupported("tool_choice", f"tool_choice: this choice {_NOT_SUPPORTED}")
    return choice.raw


def _encoded_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    return {"type": "json_schema", "json_schema": {"name": "answer", **wanted.extra, "schema": wanted.schema}}
