"""Whole answers of `/v2/chat`, to and from the neutral form.

What a model plans before it calls tools stands in `tool_plan`; it is thought like any other.
https://docs.cohere.com/v2/reference/chat
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Chat, Part, Reason, Text, Thinking, ToolCall
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.cohere_chat.usage import Counts, shown

REASONS: Final[dict[str, Reason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
#: ends of what is not an answer
FAILURES: Final = {"ERROR": "the provider failed to answer", "TIMEOUT": "the provider took too long"}
_SHOWN_REASONS: Final[dict[Reason, str]] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
}


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    id: str | None = None
    function: Function | None = None


class Piece(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Message(msgspec.Struct):
    content: list[Piece] | None = None
    tool_plan: str | None = None
    tool_calls: list[Call] | None = None
    citations: list[dict[str, Any]] | None = None

    def parts(self) -> Iterator[Part]:
        if self.tool_plan:
            yield Thinking(self.tool_plan)
        pieces = [piece for piece in self.content or () if piece.text or piece.thinking]
        for place, piece in enumerate(pieces, 1):
            if piece.thinking:
                yield Thinking(piece.thinking)
            else:
                cited = {"citations": self.citations} if self.citations and place == len(pieces) else {}
                yield Text(piece.text or "", cited)
        for call in self.tool_calls or ():
            function = call.function or Function()
            yield ToolCall(call.id or "", function.name or "", function.arguments or "{}")


class _Answer(msgspec.Struct):
    message: Message
    id: str | None = None
    finish_reason: str | None = None
    usage: Counts | None = None


def decode_response(body: bytes) -> Chat:
    """Cohere does not tell the model."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    reason = answer.finish_reason or ""
    if reason in FAILURES:
        raise Unreadable(FAILURES[reason])
    parts = tuple(answer.message.parts())
    calls = any(isinstance(part, ToolCall) for part in parts)
    return Chat(
        model="",
        parts=parts,
        reason="tool_calls" if calls and reason != "MAX_TOKENS" else REASONS.get(reason, "stop"),
        usage=answer.usage.usage() if answer.usage else None,
        id=answer.id or "",
        stop_sequence=stop_sequence_by(reason),
    )


def encode_response(chat: Chat) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    content: list[dict[str, Any]] = []
    calls = []
    for part in chat.parts:
        match part:
            case Text(text, extra):
                content.append(text_piece(text))
                if "citations" in extra:
                    message["citations"] = extra["citations"]
            case Thinking(text) if text:
                content.append({"type": "thinking", "thinking": text})
            case ToolCall(id_, name, arguments):
                calls.append(encoded_call(id_, name, arguments))
            case _:
                pass  # what another form's hosted tools did has no place here
    if content:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    body = {"id": chat.id, "message": message, "finish_reason": shown_reason(chat.reason, chat.stop_sequence)}
    return body | {"usage": shown(chat.usage)} if chat.usage is not None else body


def text_piece(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def encoded_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def stop_sequence_by(reason: str) -> str | None:
    """Cohere tells that there was one, not which."""
    return "" if reason == "STOP_SEQUENCE" else None


def shown_reason(reason: Reason, stop_sequence: str | None) -> str:
    return "STOP_SEQUENCE" if stop_sequence is not None and reason == "stop" else _SHOWN_REASONS[reason]
