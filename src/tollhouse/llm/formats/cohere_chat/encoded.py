"""Messages and tools for Cohere. https://docs.cohere.com/v2/reference/chat#request.body.messages"""

from typing import Any, Final

from tollhouse.llm.chat import (
    ChatRequest,
    Image,
    Media,
    Message,
    OtherPart,
    OtherTool,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.data_urls import url_of
from tollhouse.llm.form import Refusal, Unsupported
from tollhouse.llm.formats.cohere_chat.response import encoded_call, text_piece

_TEXT_ONLY: Final = frozenset({"type", "text"})
_NOT_SUPPORTED: Final = "not supported by Cohere's models"


def encode_message(message: Message, place: str, *, own: bool, ignored: list[str]) -> list[dict[str, Any]]:
    """A message as Cohere's: one, or one for each result of a tool."""
    if not own:
        ignored += [f"{place}.{name}" for name in message.extra]
    extra = dict(message.extra) if own else {}
    if message.role == "tool":
        return [
            {
                "role": "tool",
                "tool_call_id": part.call_id,
                "content": _content(part.parts, place, own=own),
                **extra,
            }
            for part in message.parts
            if isinstance(part, ToolResult)
        ]
    turn: dict[str, Any] = {"role": message.role}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    thoughts = [part for part in message.parts if isinstance(part, Thinking) and part.text]
    said = tuple(part for part in message.parts if not isinstance(part, ToolCall | Thinking))
    plans = [part.text for part in thoughts if _is_plan(part, calls=bool(calls), own=own)]
    kept = [part for part in thoughts if own and not _is_plan(part, calls=bool(calls), own=own)]
    if len(plans) + len(kept) < len(thoughts):
        ignored.append(f"{place}.thinking")
    content = _content((*kept, *said), place, own=own)
    if content or not (calls or kept or plans):
        turn["content"] = content
    if plans:
        turn["tool_plan"] = "".join(plans)
    if calls:
        turn["tool_calls"] = [_encoded_call(call, own=own) for call in calls]
    return [turn | extra]


def _is_plan(thought: Thinking, *, calls: bool, own: bool) -> bool:
    """Every model takes a plan beside its calls, but only some take thoughts; those of another form's
    answers without calls are of no use later and are left out."""
    return thought.extra.get("type") == "tool_plan" if own else calls


def _encoded_call(call: ToolCall, *, own: bool) -> dict[str, Any]:
    return encoded_call(call.id, call.name, call.arguments or "{}") | (dict(call.extra) if own else {})


def _content(parts: tuple[Part, ...], place: str, *, own: bool) -> str | list[dict[str, Any]]:
    pieces = [_piece(part, place, own=own) for part in parts]
    if not pieces:
        return ""
    if len(pieces) == 1 and pieces[0].keys() == _TEXT_ONLY:
        return str(pieces[0]["text"])
    return pieces


def _piece(part: Part, place: str, *, own: bool) -> dict[str, Any]:
    match part:
        case Text(text, extra):
            return text_piece(text) | (dict(extra) if own else {})
        case Thinking(text):
            return {"type": "thinking", "thinking": text}
        case Image(detail=detail):
            image = {"url": url_of(part)}
            return {"type": "image_url", "image_url": image | ({"detail": detail} if detail else {})}
        case OtherPart(_, raw) if own:
            return dict(raw)
        case _:
            kind = part.kind if isinstance(part, OtherPart | Media) else type(part).__name__
            raise Refusal(f"{place}: content of type '{kind}' is {_NOT_SUPPORTED}")


def put_tools(chat: ChatRequest, body: dict[str, Any], *, own: bool, ignored: list[str]) -> None:
    """Cohere can be told to call some function, but not which: so it is given no other one."""
    choice = chat.tool_choice
    if choice is not None and choice.mode == "other":
        raise Unsupported("tool_choice", f"tool_choice: this choice is {_NOT_SUPPORTED}")
    tools = []
    for tool in chat.tools:
        if isinstance(tool, OtherTool):
            raise Unsupported("tools", f"tools: the type '{tool.kind}' is {_NOT_SUPPORTED}")
        if choice is None or choice.mode != "one" or tool.name == choice.name:
            tools.append(tool)
    if choice is not None and choice.mode == "one" and not tools:
        raise Unsupported("tool_choice", f"tool_choice: there is no tool '{choice.name}'")
    if tools:
        body["tools"] = [_encoded_tool(tool, own=own) for tool in tools]
        if choice is not None and choice.mode in ("required", "one"):
            body["tool_choice"] = "REQUIRED"
        elif choice is not None and choice.mode == "none":
            body["tool_choice"] = "NONE"
    if not own and any(tool.strict for tool in tools):
        if all(tool.strict for tool in tools):
            body["strict_tools"] = True
        else:
            ignored.append("tools.function.strict")
    if chat.parallel_tool_calls is False:
        ignored.append("parallel_tool_calls")


def _encoded_tool(tool: Tool, *, own: bool) -> dict[str, Any]:
    # Parameters are required, even of a function that takes none.
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function, **(tool.extra if own else {})}
