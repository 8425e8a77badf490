"""Streams of `streamGenerateContent`: every event is an answer with the next piece of text.

With `alt=sse` they are server-sent events, with CRLF and without [DONE]; without it one JSON array.
Google's own SDK takes a comment for JSON and fails: there is nothing to send when there is nothing to say.
"""

from typing import Any, Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.chat import (
    Citation,
    Delta,
    Failed,
    Finish,
    Image,
    Likely,
    Logprobs,
    OtherPart,
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
from tollhouse.llm.formats.gemini.arguments import put
from tollhouse.llm.formats.gemini.array import ArrayReader
from tollhouse.llm.formats.gemini.errors import encoded_error, trouble_in
from tollhouse.llm.formats.gemini.likely import likely_in, shown_likely
from tollhouse.llm.formats.gemini.response import (
    Chunk,
    ErrorRead,
    FunctionCall,
    closing,
    encoded_call,
    encoded_part,
    head,
    invented_id,
    read_chunk,
    reason_of,
    spoken,
)
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent, SseReader

STREAM_TYPE: Final = "text/event-stream"
ENDED_EARLY: Final = "the provider's stream ended early"
_BLANKS: Final = b" \t\r\n"


class _Decoder:
    """A reason may come before the last event, and the usage that counts is the last one told: the end
    of the answer is only certain when the stream has ended."""

    def __init__(self) -> None:
        self._sse = SseReader()
        #: in place of the former, once it is clear that the body is JSON
        self._array: ArrayReader | None = None
        self._undecided = True
        self._started = False
        self._over = False
        self._reason: Reason | None = None
        self._usage: Usage | None = None
        self._response_id = ""
        self._calls = 0
        #: the arguments of a call that comes in pieces
        self._open: dict[str, Any] | None = None
        #: events that could not be read
        self.skipped = 0

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        if self._undecided:
            self._decide(data)
        try:
            if self._array is not None:
                for text in self._array.feed(data):
                    self._chunk(text, deltas)
            else:
                for event in self._sse.feed(data):
                    self._event(event, deltas)
        except PeerError as error:
            self._fail(f"the provider's stream cannot be read: {error}", deltas, unread=True)
        return deltas

    def _decide(self, data: bytes) -> None:
        start = data.lstrip(_BLANKS)[:1]
        if start:
            self._undecided = False
            if start in (b"[", b"{"):
                self._array = ArrayReader()

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._sse.end():
            skipped = self.skipped
            self._event(event, deltas)
            self.skipped = skipped  # what was cut off is told by the reason that is missing then
        if self._reason is None:
            self._fail(ENDED_EARLY, deltas)
        elif not self._over:
            self._over = True
            self._close_call(deltas)
            reason = "tool_calls" if self._calls and self._reason == "stop" else self._reason
            deltas.append(Finish(reason, self._usage))
        return deltas

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        raw = event.raw
        if raw.startswith(b"data: ") and raw.endswith(b"\r\n\r\n") and raw.find(b"\n") == len(raw) - 3:
            data: bytes | None = raw[6:-4]
        else:
            data = event.data
            if data is None and raw.lstrip(_BLANKS).startswith((b"{", b"[")):
                data = raw  # an error in the middle of a stream comes as JSON without `data:`
        if data is not None:
            self._chunk(data, deltas)

    def _chunk(self, text: bytes, deltas: list[Delta]) -> None:
        if self._over:
            return
        try:
            chunk = read_chunk(text)
        except MALFORMED:
            try:
                chunk = msgspec.json.decode(text, type=tuple[Chunk])[0]
            except MALFORMED:
                self.skipped += 1
                return
        if chunk.error is not None:
            self._report(chunk.error, deltas)
            return
        if not self._started:
            self._started = True
            self._response_id = chunk.response_id
            deltas.append(Start(chunk.model_version, chunk.response_id, chunk.created))
        if chunk.usage_metadata is not None:
            self._usage = chunk.usage_metadata.usage() or self._usage
        if chunk.candidates:
            self._candidate(chunk, deltas)
        elif chunk.is_blocked:
            self._reason = "content_filter"

    def _candidate(self, chunk: Chunk, deltas: list[Delta]) -> None:
        candidate = chunk.answer
        if candidate is None:
            return
        if candidate.logprobs_result and (tokens := likely_in(candidate.logprobs_result)):
            deltas.append(Logprobs(tokens))
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                if part.function_call is not None:
                    self._call(part.function_call, part.thought_signature, deltas)
                elif part.text is not None and (said := spoken(part)) is not None:
                    deltas.append(said)
                elif (picture := part.picture) is not None:
                    deltas.append(picture)
                elif (kind := part.unshown) is not None:
                    deltas.append(Unshown(kind))
        deltas += [Unshown(note.kind) if isinstance(note, OtherPart) else note for note in candidate.notes]
        if candidate.finish_reason:
            self._reason = reason_of(candidate.finish_reason)

    def _call(self, call: FunctionCall, signature: str | None, deltas: list[Delta]) -> None:
        """A call comes whole, or first its name, then its arguments, then an empty one that ends it."""
        if call.name:
            self._close_call(deltas)
            whole = None if call.will_continue else msgspec.json.encode(call.args or {})
            id_ = call.id or invented_id(self._response_id, self._calls, call.name, whole or b"")
            deltas.append(ToolStart(self._calls, id_, call.name, signature))
            self._calls += 1
            if whole is not None:
                deltas.append(ToolArguments(self._calls - 1, whole.decode()))
                return
            self._open = dict(call.args or {})
        if self._open is not None:
            for piece in call.partial_args or ():
                put(self._open, piece)
            if not call.will_continue:
                self._close_call(deltas)

    def _close_call(self, deltas: list[Delta]) -> None:
        if self._open is not None:
            deltas.append(ToolArguments(self._calls - 1, msgspec.json.encode(self._open).decode()))
            self._open = None

    def _report(self, error: ErrorRead, deltas: list[Delta]) -> None:
        if not self._over:
            self._over = True
            message = error.message or "the provider reported an error"
            deltas.append(Failed(message, trouble_in(error), self._usage))

    def _fail(self, message: str, deltas: list[Delta], *, unread: bool = False) -> None:
        if not self._over:
            self._over = True
            deltas.append(Failed(message, usage=self._usage, unread=unread))


def stream_decoder() -> _Decoder:
    return _Decoder()


class _Encoder:
    """Calls are gathered until the end: clients of this form expect them whole."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._calls: list[tuple[ToolStart, list[str]]] = []
        self._pages: list[Citation] = []
        #: of the text that comes next
        self._likely: tuple[Likely, ...] = ()

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(model, id_, created):
                self._head = head(model, id_, created)
                return b""
            case Citation():
                self._pages.append(delta)
                return b""
            case Logprobs(tokens):
                self._likely += tokens
                return b""
            case Unshown():
                return b""
            case Text() | Thinking() | Image():
                part = encoded_part(delta)
                return self._event([part] if part else [], None)
            case ToolStart():
                self._calls.append((delta, []))
                return b""
            case ToolArguments(index, fragment):
                self._calls[index][1].append(fragment)
                return b""
            case Finish(reason, usage):
                calls = [
                    encoded_call(start.id, start.name, "".join(pieces), start.signature)
                    for start, pieces in self._calls
                ]
                return self._event(calls, reason, usage)
            case Ping():
                return b""
            case Failed(message, trouble):
                return _framed(encoded_error(trouble, message))

    def _event(self, parts: list[dict[str, Any]], reason: Reason | None, usage: Usage | None = None) -> bytes:
        counted = head("", "", None, usage)
        pages = self._pages if reason is not None else ()
        body = closing(parts, reason, pages) | counted | self._head
        if self._likely and (parts or reason is not None):
            body["candidates"][0] |= shown_likely(self._likely)
            self._likely = ()
        return _framed(body)


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\r\n\r\n"


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """Gemini's streams always tell usage."""
    return _Encoder()
