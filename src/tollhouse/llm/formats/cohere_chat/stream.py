"""Streams of `/v2/chat`: events with a name, then [DONE]. https://docs.cohere.com/v2/docs/streaming"""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Citation,
    Delta,
    Failed,
    Finish,
    Image,
    Logprobs,
    Ping,
    Reason,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Unshown,
)
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.cohere_chat.response import (
    FAILURES,
    REASONS,
    Call,
    Function,
    Piece,
    encoded_call,
    shown_reason,
    stop_sequence_by,
    text_piece,
)
from tollhouse.llm.formats.cohere_chat.usage import Counts, shown
from tollhouse.llm.reading import EventDecoder
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent

STREAM_TYPE: Final = "text/event-stream"
_DONE: Final = b"[DONE]"


class _Message(msgspec.Struct):
    """One piece of a message; `message-start` has empty lists in their place."""

    content: Piece | list[Any] | None = None
    tool_plan: str | None = None
    tool_calls: Call | list[Any] | None = None


class _Change(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Counts | None = None
    error: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    id: str | None = None
    index: int = 0
    delta: _Change | None = None
    # an error has neither a type nor a delta
    message: str | None = None


_read: Final = msgspec.json.Decoder(_Event).decode


class _Decoder(EventDecoder):
    """Calls have indexes of their own, beside those of the content."""

    __slots__ = ("_calls", "_given", "_started", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._usage: Usage | None = None
        #: our index of a call, by Cohere's
        self._calls: dict[int, int] = {}
        #: our indexes of the calls that have some arguments
        self._given: set[int] = set()

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        data = event.data
        if data is None or self._over or data == _DONE:
            return
        try:
            read = _read(data)
        except MALFORMED:
            self.skipped += 1
            return
        self._told(read, deltas)

    def _told(self, event: _Event, deltas: list[Delta]) -> None:
        kind, change = event.type, event.delta
        if not kind:
            if event.message:
                self._fail(event.message, deltas)
            return
        if not self._started:
            self._started = True
            deltas.append(Start("", event.id or ""))
        if change is None:
            if kind == "tool-call-end":
                self._arguments(event.index, None, deltas)
        elif kind == "message-end":
            self._end(change, deltas)
        elif change.message is not None:
            self._message(kind, event.index, change.message, deltas)

    def _message(self, kind: str, index: int, message: _Message, deltas: list[Delta]) -> None:
        content, call = message.content, message.tool_calls
        if isinstance(content, Piece):
            if content.text:
                deltas.append(Text(content.text))
            elif content.thinking:
                deltas.append(Thinking(content.thinking))
        elif isinstance(call, Call):
            self._call(kind, index, call, deltas)
        elif message.tool_plan:
            deltas.append(Thinking(message.tool_plan))

    def _call(self, kind: str, index: int, call: Call, deltas: list[Delta]) -> None:
        function = call.function or Function()
        if kind == "tool-call-start":
            self._calls[index] = len(self._calls)
            deltas.append(ToolStart(self._calls[index], call.id or "", function.name or ""))
        if function.arguments:
            self._arguments(index, function.arguments, deltas)

    def _arguments(self, index: int, fragment: str | None, deltas: list[Delta]) -> None:
        """`None` at the end of a call: a function that takes nothing is called without a word of that."""
        place = self._calls.get(index)
        if place is not None and (fragment or place not in self._given):
            self._given.add(place)
            deltas.append(ToolArguments(place, fragment or "{}"))

    def _end(self, change: _Change, deltas: list[Delta]) -> None:
        reason = change.finish_reason or ""
        self._usage = change.usage.usage() if change.usage else None
        if change.error or reason in FAILURES:
            text = change.error or FAILURES[reason]
            self._fail(text, deltas, "timeout" if reason == "TIMEOUT" else "upstream_error")
            return
        self._over = True
        calls = self._calls and reason != "MAX_TOKENS"
        told: Reason = "tool_calls" if calls else REASONS.get(reason, "stop")
        deltas.append(Finish(told, self._usage, stop_sequence_by(reason)))

    def _counted(self) -> Usage | None:
        return self._usage


def stream_decoder() -> _Decoder:
    return _Decoder()


# For a client


class _Encoder:
    """Content blocks come one after the other; calls have indexes of their own."""

    def __init__(self) -> None:
        self._id = ""
        self._block: str | None = None
        self._count = 0
        #: calls that are not closed yet
        self._open: list[int] = []

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(_, id_):
                self._id = id_
                empty = {
                    "role": "assistant",
                    "content": [],
                    "tool_plan": "",
                    "tool_calls": [],
                    "citations": [],
                }
                return _event("message-start", {"id": id_, "delta": {"message": empty}})
            case Text(text):
                return self._opened("text") + self._piece({"text": text})
            case Thinking(text):
                # Cohere's thoughts have no proofs.
                return self._opened("thinking") + self._piece({"thinking": text}) if text else b""
            case ToolStart(index, id_, name):
                out = self._closed()
                self._open.append(index)
                return out + _call_event("tool-call-start", index, encoded_call(id_, name, ""))
            case ToolArguments(index, fragment):
                return _call_event("tool-call-delta", index, {"function": {"arguments": fragment}})
            case Finish():
                return self._end(delta)
            case Citation() | Image() | Logprobs() | Unshown():
                return b""  # told in log records
            case Ping():
                return b": ping\n\n"
            case Failed(message, trouble, usage):
                change: dict[str, Any] = {"error": message}
                change["finish_reason"] = "TIMEOUT" if trouble == "timeout" else "ERROR"
                if usage is not None:
                    change["usage"] = shown(usage)
                return _event("message-end", {"id": self._id, "delta": change})

    def _opened(self, kind: str) -> bytes:
        if self._block == kind:
            return b""
        out = self._closed()
        self._block = kind
        content = text_piece("") if kind == "text" else {"type": "thinking", "thinking": ""}
        return out + _event(
            "content-start", {"index": self._count, "delta": {"message": {"content": content}}}
        )

    def _piece(self, content: dict[str, str]) -> bytes:
        return _event("content-delta", {"index": self._count, "delta": {"message": {"content": content}}})

    def _closed(self) -> bytes:
        if self._block is None:
            return b""
        self._block = None
        self._count += 1
        return _event("content-end", {"index": self._count - 1})

    def _end(self, finish: Finish) -> bytes:
        out = self._closed()
        out += b"".join([_event("tool-call-end", {"index": index}) for index in self._open])
        change: dict[str, Any] = {"finish_reason": shown_reason(finish.reason, finish.stop_sequence)}
        if finish.usage is not None:
            change["usage"] = shown(finish.usage)
        return out + _event("message-end", {"id": self._id, "delta": change}) + b"data: [DONE]\n\n"


def _call_event(kind: str, index: int, call: dict[str, Any]) -> bytes:
    return _event(kind, {"index": index, "delta": {"message": {"tool_calls": call}}})


def _event(kind: str, members: dict[str, Any]) -> bytes:
    body = msgspec.json.encode({"type": kind, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """Cohere's streams always tell usage."""
    return _Encoder()
