"""Counting the tokens of a request before it is made.
https://platform.claude.com/docs/en/api/messages/count_tokens

Other providers have no such call: for those a client gets an estimate.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from tollhouse.llm import tokens
from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    OtherTool,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.families.claude import known
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Told, Unreadable
from tollhouse.llm.formats.anthropic_messages.request import decode_request, encode_request

#: of a picture as large as it is read: https://platform.claude.com/docs/en/build-with-claude/vision
_PICTURE_TOKENS: Final = 1600
_COUNTED: Final = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "context_management",
        "mcp_servers",
        "speed",
    }
)


_MARKS: Final = re.compile(r'[{}\[\]":,]+')


class _Count(msgspec.Struct):
    input_tokens: int


def decode_count_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """A request without a limit of tokens. Raises `Refusal`."""
    return decode_request(body, told)


def encode_count_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    """The body for a provider: of a request's members the ones that are counted."""
    if chat.options.max_tokens is None and known(chat.model) is None:
        chat = replace(chat, options=replace(chat.options, max_tokens=1))
    body = encode_request(chat, ignored)
    return {name: value for name, value in body.items() if name in _COUNTED}


def decode_count_response(body: bytes) -> int:
    try:
        return msgspec.json.decode(body, type=_Count).input_tokens
    except MALFORMED:
        raise Unreadable("the provider's answer is no count of tokens") from None


def encode_count_response(input_tokens: int) -> dict[str, Any]:
    return {"input_tokens": input_tokens}


def estimate(chat: ChatRequest) -> int:
    """About how many tokens the prompt has, by its words; schemas of tools count as they are written."""
    parts = [part for message in chat.messages for part in message.parts]
    texts = [*_texts(parts), *(_described(tool) for tool in chat.tools)]
    pictures = sum(_pictures(part) for part in parts)
    # Never 0: clients that compare with a budget take that for no answer.
    return max(1, tokens.prompt_tokens(texts) + pictures * _PICTURE_TOKENS)


def _texts(parts: list[Part] | tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text(text) | Thinking(text):
                yield text
            case ToolCall(_, name, arguments):
                yield f"{name} {arguments}"
            case ToolResult(_, inner):
                yield from _texts(inner)
            case Document(text=str(text)):
                yield text
            case _:
                pass


def _pictures(part: Part) -> int:
    if isinstance(part, ToolResult):
        return sum(map(_pictures, part.parts))
    return isinstance(part, Image)


def _described(tool: Tool | OtherTool) -> str:
    if isinstance(tool, OtherTool):
        return _spelled(tool.raw)
    return f"{tool.name} {tool.description or ''} {_spelled(tool.parameters or {})}"


def _spelled(raw: Any) -> str:
    """JSON has hardly any spaces: its marks part its words as spaces do elsewhere."""
    written = msgspec.json.encode(raw).decode()
    return _MARKS.sub(" ", written)
