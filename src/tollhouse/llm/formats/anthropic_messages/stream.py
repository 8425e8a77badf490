"""Streams, read: named events, blocks one after the other, running totals of usage.
https://platform.claude.com/docs/en/build-with-claude/streaming"""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Delta,
    Finish,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Unshown,
)
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.anthropic_messages.errors import Error
from tollhouse.llm.formats.anthropic_messages.response import cited, reason_of
from tollhouse.llm.formats.anthropic_messages.usage import Counts, told
from tollhouse.llm.reading import EventDecoder
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent

STREAM_TYPE: Final = "text/event-stream"
#: not of this form, but some servers of it end so
_DONE: Final = b"[DONE]"
_EMPTY: Final = (b"", b"{}", b"null")


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct, gc=False):
    model: str = ""
    id: str = ""
    usage: Counts | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: Counts | None = None
    error: Error | None = None


_read: Final = msgspec.json.Decoder(_Event).decode


class _Call(msgspec.Struct):
    """A call whose block is open. Anthropic streams arguments; other servers may tell them at once."""

    index: int
    told: bytes = b""
    streamed: bool = False


class _Decoder(EventDecoder):
    """Blocks of hosted tools are of no other form: only what they are called is told."""

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._counts: Counts | None = None
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        #: open calls by the index of their block
        self._open: dict[int, _Call] = {}
        self._calls = 0

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        data = _data_of(event)
        if self._over or data is None or data == _DONE:
            return
        try:
            read = _read(data)
        except MALFORMED:
            self.skipped += 1
            return
        match read.type or event.name:
            case "content_block_delta":
                if read.delta is not None:
                    self._piece(read.index, read.delta, deltas)
            case "content_block_start":
                if read.content_block is not None:
                    self._begin(read.index, read.content_block, deltas)
            case "content_block_stop":
                self._close(read.index, deltas)
            case "ping":
                deltas.append(Ping())
            case "message_start":
                self._start(read.message or _Message(), deltas)
            case "message_delta":
                self._last(read)
            case "message_stop":
                self._finish(deltas)
            case "error":
                error = read.error or Error()
                words = error.message or "the provider reported an error"
                self._fail(words, deltas, error.trouble())
            case _:
                pass  # kinds younger than this file

    def _start(self, message: _Message, deltas: list[Delta]) -> None:
        if self._started:
            return
        self._started = True
        self._counts = message.usage
        deltas.append(Start(message.model, message.id, usage=told(message.usage)))

    def _piece(self, index: int, delta: _Delta, deltas: list[Delta]) -> None:
        if not self._started:
            self._start(_Message(), deltas)
        if delta.text:
            deltas.append(Text(delta.text))
        elif delta.partial_json:
            call = self._open.get(index)
            if call is not None:
                call.streamed = True
                deltas.append(ToolArguments(call.index, delta.partial_json))
        elif delta.thinking:
            deltas.append(Thinking(delta.thinking))
        elif delta.signature:
            deltas.append(Thinking("", delta.signature))
        elif delta.citation is not None:
            deltas.append(cited(delta.citation) or Unshown("citations"))

    def _begin(self, index: int, block: _Block, deltas: list[Delta]) -> None:
        if not self._started:
            self._start(_Message(), deltas)
        match block.type:
            case "text" if block.text:
                deltas.append(Text(block.text))
            case "thinking" if block.thinking or block.signature:
                deltas.append(Thinking(block.thinking or "", block.signature or None))
            case "redacted_thinking":
                deltas.append(Thinking("", redacted=block.data))
            case "tool_use":
                self._open[index] = _Call(self._calls, bytes(block.input))
                deltas.append(ToolStart(self._calls, block.id, block.name))
                self._calls += 1
            case "text" | "thinking":
                pass
            case kind:
                deltas.append(Unshown(kind))

    def _close(self, index: int, deltas: list[Delta]) -> None:
        call = self._open.pop(index, None)
        if call is not None and not call.streamed:
            whole = "{}" if call.told in _EMPTY else call.told.decode()
            deltas.append(ToolArguments(call.index, whole))

    def _last(self, event: _Event) -> None:
        if event.delta is not None:
            self._reason = event.delta.stop_reason or self._reason
            self._stop_sequence = event.delta.stop_sequence or self._stop_sequence
        if event.usage is not None:
            if self._counts is None:
                self._counts = event.usage
            else:
                self._counts.overwrite(event.usage)

    def _finish(self, deltas: list[Delta]) -> None:
        if not self._started:
            self._start(_Message(), deltas)
        for index in sorted(self._open):
            self._close(index, deltas)
        self._over = True
        reason = reason_of(self._reason, called=self._calls > 0)
        deltas.append(Finish(reason, told(self._counts), self._stop_sequence))

    def _counted(self) -> Usage | None:
        return told(self._counts)


def _data_of(event: SseEvent) -> bytes | None:
    """The data of an event as Anthropic writes them, one line with the name and one with the data, found
    without taking all of it apart; of others by the rules of the form."""
    raw = event.raw
    if raw.startswith(b"event: ") and raw.count(b"\n") == 3 and b"\r" not in raw:
        start = raw.find(b"\n") + 1
        if raw.startswith(b"data: ", start) and raw.endswith(b"\n\n"):
            return raw[start + 6 : -2]
    return event.data


def stream_decoder() -> _Decoder:
    return _Decoder()
