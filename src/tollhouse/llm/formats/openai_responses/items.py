"""Items of a conversation, from a client: what was said, thought, called and answered, in one list.

What a model did between two turns of others becomes one message, as every other form has it: calls
that stand beside one another must be answered together.
https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Document,
    Media,
    Message,
    OtherPart,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.data_urls import data_in, image_at
from tollhouse.llm.form import MALFORMED, Refusal, members_beyond
from tollhouse.llm.formats.openai_responses.agents import agent_item
from tollhouse.llm.formats.openai_responses.response import Item

ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
#: kinds of pieces of text, for the model and of it
TEXTS: Final = frozenset({"input_text", "output_text", "text"})


class _Said(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _Answered(msgspec.Struct):
    call_id: str
    output: str | list[dict[str, Any]] | None = None


class _Sound(msgspec.Struct):
    data: str
    format: str = "wav"


class _Piece(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None


_OF_TEXT: Final = frozenset({"type", "text"})
_OF_IMAGE: Final = frozenset({"type", "image_url", "detail"})
_OF_FILE: Final = frozenset({"type", "file_id", "file_data", "file_url", "filename"})
_OF_MESSAGE: Final = frozenset({"type", "role", "content"})
_OF_RESULT: Final = frozenset({"type", "call_id", "output"})
_OF_CALL: Final = frozenset({"type", "call_id", "name", "arguments"})
_OF_THOUGHT: Final = frozenset({"type", "encrypted_content"})


def decode_input(given: str | list[dict[str, Any]]) -> list[Message]:
    """Raises `Refusal` with the place of what is wrong."""
    if isinstance(given, str):
        return [Message("user", (Text(given),))]
    messages: list[Message] = []
    turn: list[Part] = []
    for place, raw in enumerate(given):
        try:
            found = _item(raw)
        except (*MALFORMED, Refusal) as error:
            raise Refusal(f"input[{place}]: {error}") from None
        if isinstance(found, Message):
            if turn:
                messages.append(Message("assistant", tuple(turn)))
                turn = []
            messages.append(found)
        else:
            turn += found
    if turn:
        messages.append(Message("assistant", tuple(turn)))
    return messages


def _item(raw: Mapping[str, Any]) -> Message | Iterable[Part]:
    """A turn of somebody, or what the model did."""
    match raw.get("type", "message"):
        case "message":
            return _message(raw)
        case "function_call_output":
            answered = msgspec.convert(raw, type=_Answered)
            parts = decode_content(answered.output)
            result = ToolResult(answered.call_id, parts)
            return Message("tool", (result,), members_beyond(raw, _OF_RESULT))
        case "function_call":
            call = msgspec.convert(raw, type=Item)
            extra = members_beyond(raw, _OF_CALL)
            return [ToolCall(call.call_id or "", call.name or "", call.arguments or "", extra)]
        case "reasoning":
            thought = msgspec.convert(raw, type=Item).thought() or Thinking("")
            extra = members_beyond(raw, _OF_THOUGHT)
            return [Thinking(thought.text, thought.signature, thought.redacted, extra)]
        case kind:
            return agent_item(raw) or [OtherPart(str(kind), raw)]


def _message(raw: Mapping[str, Any]) -> Message | list[Part]:
    said = msgspec.convert(raw, type=_Said)
    role = ROLES.get(said.role)
    if role is None:
        raise Refusal(f"unknown role '{said.role}'")
    parts = decode_content(said.content)
    extra = members_beyond(raw, _OF_MESSAGE)
    if role != "assistant":
        return Message(role, parts, extra)
    if not extra:
        return list(parts)
    # Ids and the like belong to the item, which is no message of its own in the neutral form.
    return [
        Text(part.text, {**part.extra, "item": extra}) if isinstance(part, Text) else part for part in parts
    ]


def decode_content(content: str | list[dict[str, Any]] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(_piece(raw) for raw in content or ())


def _piece(raw: Mapping[str, Any]) -> Part:
    piece = msgspec.convert(raw, type=_Piece)
    kind = piece.type
    if kind in TEXTS:
        # What a model said comes back with its empty annotations.
        extra = {name: value for name, value in members_beyond(raw, _OF_TEXT).items() if value != []}
        return Text(piece.text or "", extra)
    if kind == "refusal":
        return Text(piece.refusal or "", {"type": kind})
    if kind == "input_image" and piece.image_url is not None:
        return image_at(piece.image_url, piece.detail, members_beyond(raw, _OF_IMAGE))
    if kind == "input_file":
        return _document(piece, members_beyond(raw, _OF_FILE))
    if kind == "input_audio" and piece.input_audio is not None:
        return Media("audio", piece.input_audio.data, f"audio/{piece.input_audio.format}")
    return OtherPart(kind, raw)


def _document(piece: _Piece, extra: Mapping[str, Any]) -> Document:
    media_type, data = data_in(piece.file_data or "") or (None, piece.file_data)
    return Document(data, media_type, piece.file_url, None, piece.file_id, piece.filename, extra)
