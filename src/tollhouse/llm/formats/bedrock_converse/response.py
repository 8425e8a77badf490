"""Whole answers of Converse, to and from the neutral form."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    AnswerPart,
    Chat,
    Image,
    OtherPart,
    Reason,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.bedrock_converse.blocks import IMAGE_FORMATS, parts_of
from tollhouse.llm.formats.bedrock_converse.parts import reasoning
from tollhouse.llm.formats.bedrock_converse.usage import Counts, shown

REASONS: Final[Mapping[str, Reason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    # The model tried a call and failed: what it said before that is all there is.
    "malformed_tool_use": "stop",
    "malformed_model_output": "stop",
}
_SHOWN_REASONS: Final[Mapping[Reason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}


class _Message(msgspec.Struct):
    content: list[dict[str, Any]] = []


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Router(msgspec.Struct):
    invokedModelId: str = ""


class Trace(msgspec.Struct):
    promptRouter: _Router | None = None


class _Answer(msgspec.Struct):
    #: absent where a guardrail has intervened
    output: _Output | None = None
    stopReason: str | None = None
    usage: Counts | None = None
    trace: Trace | None = None
    additionalModelResponseFields: Any = None
    message: str | None = None


_read: Final = msgspec.json.Decoder(_Answer).decode


def decode_response(body: bytes) -> Chat:
    """No id and no model, unless a router chose it: the id is in a header, the model in the path."""
    try:
        answer = _read(body)
        message = answer.output and answer.output.message
        parts = tuple(parts_of(message.content if message else ()))
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    if answer.stopReason is None:
        raise Unreadable(answer.message or "the answer has no stopReason")
    return Chat(
        model=invoked_model(answer.trace),
        parts=parts,
        reason=reason_of(answer.stopReason, called=any(isinstance(part, ToolCall) for part in parts)),
        usage=None if answer.usage is None else answer.usage.usage(),
        stop_sequence=stop_sequence_in(answer.additionalModelResponseFields, answer.stopReason),
    )


def reason_of(stop_reason: str, *, called: bool) -> Reason:
    reason = REASONS.get(stop_reason, "stop")
    return "tool_calls" if called and stop_reason == "end_turn" else reason


def invoked_model(trace: Trace | None) -> str:
    """The id of the model that a router chose, without the ARN it is in."""
    router = trace and trace.promptRouter
    return router.invokedModelId.rpartition("/")[2] if router else ""


def stop_sequence_in(fields: Any, stop_reason: str) -> str | None:
    """Among the fields of Claude's own answer, which stand one deeper in streams; empty if only that there
    was one is told."""
    match fields:
        case {"stop_sequence": str(text)} | {"delta": {"stop_sequence": str(text)}}:
            return text
        case _:
            return "" if stop_reason == "stop_sequence" else None


def encode_response(chat: Chat) -> dict[str, Any]:
    content = [block for part in chat.parts if (block := _block(part)) is not None]
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": shown_reason(chat.reason, chat.stop_sequence),
        "usage": shown(chat.usage),
        # Clients' types have it always; nobody measures it here.
        "metrics": {"latencyMs": 0},
    }
    if chat.stop_sequence:
        body["additionalModelResponseFields"] = {"stop_sequence": chat.stop_sequence}
    return body


def shown_reason(reason: Reason, stop_sequence: str | None) -> str:
    return "stop_sequence" if stop_sequence is not None and reason == "stop" else _SHOWN_REASONS[reason]


def _block(part: AnswerPart) -> dict[str, Any] | None:
    match part:
        case Text(text, {"citationsContent": cited}):
            return {"citationsContent": cited}
        case Text(text):
            return {"text": text}
        case Thinking():
            return reasoning(part)
        case ToolCall(id_, name, arguments):
            return {"toolUse": {"toolUseId": id_, "name": name, "input": _given(arguments)}}
        case Image():
            return picture(part)
        case OtherPart(kind, raw) if raw.keys() == {kind}:
            return dict(raw)
        case _:
            return None  # an answer of another form has parts that a client of this one cannot read


def picture(image: Image) -> dict[str, Any] | None:
    """The block of a picture; None if it is of a format, or at a place, that this form does not know."""
    name = IMAGE_FORMATS.get(image.media_type or "")
    return {"image": {"format": name, "source": {"bytes": image.data}}} if name and image.data else None


def _given(arguments: str) -> Any:
    """Arguments that are no JSON object stay readable under a name of their own."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {"arguments": arguments}
