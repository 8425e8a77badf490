"""Whole answers, to and from the neutral form."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    AnswerPart,
    Chat,
    Citation,
    OtherPart,
    Reason,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import MALFORMED, Unreadable, members_beyond
from tollhouse.llm.formats.anthropic_messages.blocks import arguments_in
from tollhouse.llm.formats.anthropic_messages.errors import Error
from tollhouse.llm.formats.anthropic_messages.usage import Counts, shown, told

NOT_READABLE: Final = "'content' not in anthropic://llm/v1/chat response"
REASONS: Final[dict[str | None, Reason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_SHOWN_REASONS: Final[dict[Reason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_KNOWN_OF_TEXT: Final = frozenset({"type", "text"})
_KNOWN_OF_CALL: Final = frozenset({"type", "id", "name", "input"})


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str = ""
    id: str = ""
    name: str = ""
    #: as the model wrote it
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct):
    content: list[msgspec.Raw] | None = None
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Counts | None = None
    error: Error | None = None


_read_block: Final = msgspec.json.Decoder(_Block).decode
_read_answer: Final = msgspec.json.Decoder(_Answer).decode


def decode_response(body: bytes) -> Chat:
    try:
        answer = _read_answer(body)
        parts = tuple(part for raw in answer.content or () for part in _parts(raw))
    except MALFORMED:
        raise Unreadable(NOT_READABLE) from None
    if answer.content is None:
        raise Unreadable((answer.error and answer.error.message) or NOT_READABLE)
    return Chat(
        model=answer.model,
        parts=parts,
        reason=reason_of(answer.stop_reason, called=any(isinstance(part, ToolCall) for part in parts)),
        usage=told(answer.usage),
        id=answer.id,
        stop_sequence=answer.stop_sequence,
    )


def reason_of(told: str | None, *, called: bool) -> Reason:
    """Servers of this form other than Anthropic's end with `end_turn` after calls, or tell nothing."""
    reason = REASONS.get(told, "stop")
    return "tool_calls" if called and reason == "stop" else reason


def _parts(raw: msgspec.Raw) -> Iterator[AnswerPart]:
    """The part that a block is, and the pages that its text is from."""
    part = _part(raw)
    yield part
    if isinstance(part, Text):
        for told in part.extra.get("citations") or ():
            if isinstance(found := cited(told), Citation):
                yield found


def cited(told: Any) -> Citation | None:
    """`None` for what is from a document of the request."""
    match told:
        case {"url": str(url)}:
            return Citation(url, str(told.get("title") or ""), str(told.get("cited_text") or ""))
        case _:
            return None


def citation(found: Citation) -> dict[str, Any]:
    return {
        "type": "web_search_result_location",
        "url": found.url,
        "title": found.title or None,
        "cited_text": found.text,
        "encrypted_index": "",
    }


def _part(raw: msgspec.Raw) -> AnswerPart:
    block = _read_block(raw)
    match block.type:
        case "text":
            return Text(block.text, members_beyond(msgspec.json.decode(raw), _KNOWN_OF_TEXT))
        case "thinking":
            return Thinking(block.thinking, block.signature or None)
        case "redacted_thinking":
            return Thinking("", redacted=block.data)
        case "tool_use":
            extra = members_beyond(msgspec.json.decode(raw), _KNOWN_OF_CALL)
            return ToolCall(block.id, block.name, bytes(block.input).decode(), extra)
        case kind:
            return OtherPart(kind, msgspec.json.decode(raw))


def encode_response(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "type": "message",
        "role": "assistant",
        "model": chat.model,
        "content": _blocks(chat.parts),
        "stop_reason": stop_reason(chat.reason, chat.stop_sequence),
        "stop_sequence": chat.stop_sequence or None,
        "usage": shown(chat.usage),
    }


def _blocks(parts: Sequence[AnswerPart]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Citation):
            last = blocks[-1] if blocks else {}
            if last.get("type") == "text":
                last.setdefault("citations", []).append(citation(part))
        elif (block := _block(part)) is not None:
            blocks.append(block)
    return blocks


def stop_reason(reason: Reason, stop_sequence: str | None) -> str:
    if reason == "stop" and stop_sequence is not None:
        return "stop_sequence"
    return _SHOWN_REASONS[reason]


def _block(part: AnswerPart) -> dict[str, Any] | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text} if text else None
        case Thinking(_, _, str(redacted)):
            return {"type": "redacted_thinking", "data": redacted}
        case Thinking(text, signature):
            # Clients' types have no thought without a signature; an empty one is left out again when it
            # is sent back to Anthropic.
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
        case ToolCall(id_, name, arguments, extra):
            caller = {name: value for name, value in extra.items() if name == "caller"}
            return {
                "type": "tool_use",
                "id": id_,
                "name": name,
                "input": shown_arguments(arguments),
                **caller,
            }
        case OtherPart(kind, raw) if raw.get("type") == kind and _is_ours(kind):
            return dict(raw)
        case _:
            return None


def _is_ours(kind: str) -> bool:
    """Whether it is a block of this form: other forms' own parts are none that clients know."""
    return kind in ("server_tool_use", "container_upload", "compaction") or kind.endswith("_tool_result")


def shown_arguments(arguments: str) -> dict[str, Any]:
    """Arguments that are no JSON object stay readable under a name of their own."""
    found = arguments_in(arguments)
    return {"arguments": arguments} if found is None else found
