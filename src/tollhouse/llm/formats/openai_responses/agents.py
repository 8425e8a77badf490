"""Tools of coding agents that are no functions here, but are to every other form: tools that take free text,
and a shell. Their calls are items of their own.

https://platform.openai.com/docs/guides/function-calling#custom-tools,
https://platform.openai.com/docs/guides/tools-local-shell
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from tollhouse.llm.chat import Message, Text, Tool, ToolCall, ToolKind, ToolResult
from tollhouse.llm.form import MALFORMED

_CUSTOM: Final = "custom"
_SHELL: Final = "local_shell"
_INPUT: Final = "input"
_TEXT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {_INPUT: {"type": "string"}},
    "required": [_INPUT],
    "additionalProperties": False,
}
_COMMAND: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "command": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The program and its arguments.",
        },
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "user": {"type": "string"},
    },
    "required": ["command"],
}
_SHELL_DOES: Final = "Runs a command in a shell on the user's machine and returns its output."
#: kinds of items that are calls, and that are what came of them
_CALLS: Final[Mapping[str, ToolKind]] = {"custom_tool_call": _CUSTOM, "local_shell_call": _SHELL}
_RESULTS: Final = frozenset({"custom_tool_call_output", "local_shell_call_output"})


def agent_tool(raw: Mapping[str, Any]) -> Tool | None:
    """The function that stands for such a tool; `None` for any other. What it came as is its `extra`."""
    match raw:
        case {"type": "custom", "name": str(name)}:
            return Tool(name, _described(raw), _TEXT, extra=raw, kind=_CUSTOM)
        case {"type": "local_shell"}:
            return Tool(_SHELL, _SHELL_DOES, _COMMAND, extra=raw, kind=_SHELL)
        case _:
            return None


def _described(raw: Mapping[str, Any]) -> str | None:
    """What the tool is for, and the grammar of its input, of which the model is told but not held to it."""
    told = [raw["description"]] if isinstance(raw.get("description"), str) else []
    grammar = raw.get("format") or {}
    if grammar.get("type") == "grammar":
        told.append(
            f"`{_INPUT}` must follow this {grammar.get('syntax')} grammar:\n{grammar.get('definition')}"
        )
    return "\n\n".join(told) or None


def agent_item(raw: Mapping[str, Any]) -> Message | list[ToolCall] | None:
    """An item of a conversation that is a call of such a tool or its result; `None` for any other."""
    kind = raw.get("type")
    if kind in _RESULTS:
        # OpenAI's own client names the call by `call_id`, its reference by `id`.
        call_id = raw.get("call_id") or raw.get("id")
        output = raw.get("output")
        text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
        extra = {name: value for name, value in raw.items() if name not in ("call_id", "output")}
        return Message("tool", (ToolResult(str(call_id or ""), (Text(text),)),), extra)
    if kind not in _CALLS:
        return None
    call_id = str(raw.get("call_id") or raw.get("id") or "")
    if _CALLS[cast(str, kind)] == _CUSTOM:
        arguments: Any = {_INPUT: raw.get("input", "")}
        return [ToolCall(call_id, str(raw.get("name", "")), _json(arguments), raw, kind=_CUSTOM)]
    action = {name: value for name, value in (raw.get("action") or {}).items() if name != "type"}
    return [ToolCall(call_id, _SHELL, _json(action), raw, kind=_SHELL)]


def agent_call(
    kind: ToolKind, id_: str, call_id: str, name: str, arguments: str, status: str
) -> dict[str, Any]:
    """The item for a call of such a tool, whose arguments are a function's."""
    head = {"id": id_, "type": f"{kind}_tool_call" if kind == _CUSTOM else f"{kind}_call"}
    if kind == _CUSTOM:
        return head | {"status": status, "call_id": call_id, "name": name, "input": input_in(arguments)}
    given = _object(arguments)
    action = {"type": "exec", "command": [], "env": {}} | {k: v for k, v in given.items() if k != "type"}
    return head | {"status": status, "call_id": call_id, "action": action}


def input_in(arguments: str) -> str:
    """The free text in the arguments. A model that did not keep to them is taken at its word."""
    found = _object(arguments).get(_INPUT)
    return found if isinstance(found, str) else arguments


def _object(arguments: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except MALFORMED:
        return {}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
