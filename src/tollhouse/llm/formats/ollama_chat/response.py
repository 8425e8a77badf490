"""Whole answers of `/api/chat`, to and from the neutral form."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2s
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Chat, Image, Part, Reason, Text, Thinking, ToolCall
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.logprobs import likely_in
from tollhouse.llm.logprobs import shown as shown_logprobs
from tollhouse.pdk.usage import Usage

#: Kong's word for an answer that is not JSON
NOT_READABLE: Final = "failed to decode ollama response"
_REASONS: Final[dict[str, Reason]] = {"stop": "stop", "length": "length"}
_SHOWN_REASONS: Final[dict[Reason, str]] = {"length": "length"}
#: how the base64 of the usual kinds of pictures begins
_MEDIA_TYPES: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


class _Function(msgspec.Struct):
    name: str = ""
    arguments: dict[str, Any] = {}


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


def media_type_of(data: str) -> str:
    """Of a picture in base64, which stands alone in this form."""
    return next((kind for start, kind in _MEDIA_TYPES.items() if data.startswith(start)), "image/jpeg")


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    images: list[str] | None = None

    def pictures(self) -> list[Image]:
        return [Image(data=data, media_type=media_type_of(data)) for data in self.images or ()]


class Line(msgspec.Struct):
    """A whole answer, or one line of a stream."""

    model: str = ""
    created_at: str = ""
    message: _Message | None = None
    #: of completions of text, which have no message
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str = "stop"
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"")

    @property
    def reason(self) -> Reason:
        return _REASONS.get(self.done_reason, "stop")

    @property
    def created(self) -> int | None:
        """Seconds since the epoch."""
        try:
            return int(datetime.fromisoformat(self.created_at).timestamp())
        except ValueError:
            return None

    def usage(self) -> Usage | None:
        """The counts; the prompt's may be missing when it was cached in the runner."""
        if self.prompt_eval_count is None and self.eval_count is None:
            return None
        return Usage(self.prompt_eval_count or 0, self.eval_count or 0)

    def calls(self, before: int = 0) -> list[ToolCall]:
        """The calls here; `before` counts those of the same answer that came earlier."""
        given: Sequence[_Call] = (self.message and self.message.tool_calls) or ()
        calls = []
        for place, call in enumerate(given, before):
            arguments = msgspec.json.encode(call.function.arguments)
            id_ = call.id or self._invented_id(place, call.function.name, arguments)
            calls.append(ToolCall(id_, call.function.name, arguments.decode()))
        return calls

    def _invented_id(self, place: int, name: str, arguments: bytes) -> str:
        """Clients send ids back with results, so they must differ between the turns of a conversation,
        and the same answer must give the same ids however it arrived."""
        told = f"{self.created_at}\n{place}\n{name}\n".encode() + arguments
        return f"call_{blake2s(told, digest_size=12).hexdigest()}"


read_line: Final = msgspec.json.Decoder(Line).decode


def decode_response(body: bytes) -> Chat:
    try:
        line = read_line(body)
    except MALFORMED:
        raise Unreadable(NOT_READABLE) from None
    if line.message is None:
        raise Unreadable(line.error or NOT_READABLE)
    calls = line.calls()
    parts: list[Part] = []
    if line.message.thinking:
        parts.append(Thinking(line.message.thinking))
    if line.message.content:
        parts.append(Text(line.message.content))
    return Chat(
        model=line.model,
        parts=(*parts, *line.message.pictures(), *calls),
        reason="tool_calls" if calls else line.reason,
        usage=line.usage(),
        created=line.created,
        logprobs=likely_in(line.logprobs),
    )


def encode_response(chat: Chat) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(part.text for part in chat.parts if isinstance(part, Text)),
    }
    thoughts = "".join(part.text for part in chat.parts if isinstance(part, Thinking))
    if thoughts:
        message["thinking"] = thoughts
    pictures = [part.data for part in chat.parts if isinstance(part, Image) and part.data]
    if pictures:
        message["images"] = pictures
    calls = [
        encoded_call(part.id, part.name, part.arguments) for part in chat.parts if isinstance(part, ToolCall)
    ]
    if calls:
        message["tool_calls"] = calls
    body: dict[str, Any] = {"model": chat.model, "created_at": shown_time(chat.created), "message": message}
    if chat.logprobs:
        body["logprobs"] = shown_logprobs(chat.logprobs)
    return body | ending(chat.reason, chat.usage)


def encoded_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    """Arguments that are no JSON object stay readable under a name of their own."""
    try:
        decoded = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        decoded = {"arguments": arguments}
    return {"id": id_, "function": {"name": name, "arguments": decoded}}


def shown_time(created: int | None) -> str:
    return datetime.fromtimestamp(created or 0, UTC).isoformat().replace("+00:00", "Z")


def ending(reason: Reason, usage: Usage | None) -> dict[str, Any]:
    """The members that tell that an answer is complete."""
    body: dict[str, Any] = {"done": True, "done_reason": _SHOWN_REASONS.get(reason, "stop")}
    if usage is not None:
        body |= {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
    return body
