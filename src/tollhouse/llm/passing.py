"""Client and provider speak the same form: bytes pass as they are, and what they say is noted.

OpenAI's form has a faster way of its own, `dialogue.Forwarding`.
"""

from typing import Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.chat import (
    Chat,
    Delta,
    Failed,
    Finish,
    Image,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
    ToolStart,
    Trouble,
    Unshown,
)
from tollhouse.llm.dialogue import Got, Sent
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import Form, Refusal, StreamDecoder, StreamEncoder, Told, Unreadable
from tollhouse.llm.formats.openai_chat.forward import FALSE, TRUE, Members, body_of, is_true, members_of
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import EVENT_LIMIT_BYTES, SseEvent, SseReader


class Passing:
    """One form on both sides. `fixed` edits what the operator sets in every request."""

    def __init__(self, form: Form, fixed: Fixed, *, model_in_path: bool) -> None:
        self._form = form
        self._fixed = fixed
        self._model_in_path = model_in_path
        self.stream_type: str | None = None

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        if not self._model_in_path:
            members["model"] = msgspec.Raw(msgspec.json.encode(model))
            if stream != is_true(members.get("stream")):
                members["stream"] = TRUE if stream else FALSE
        self._fixed.put_in(members)
        return Sent(body_of(members), model=model)

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
        try:
            chat = self._form.decode_response(content)
        except Unreadable:
            # An answer that is not finished yet, or of a kind younger than this file: the client's to read.
            if not _is_object(content):
                raise
            return Got(content, sent.model, None)
        return Got(content, chat.model or sent.model, chat.usage, written=written_in(chat))

    def is_stream(self, content_type: str) -> bool:
        return content_type.startswith(self._form.STREAM_TYPE)

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> "StreamPassage":
        return StreamPassage(self._form, asked_model=sent.model, keep_text=keep_text)


def _is_object(content: bytes) -> bool:
    try:
        return bool(members_of(content))
    except Refusal:
        return False


class Noted:
    """What a streamed answer has told so far."""

    __slots__ = ("_said", "began", "failed", "finished", "model", "unshown", "usage", "written")

    def __init__(self, *, keep_text: bool) -> None:
        #: something of the answer itself has come
        self.began = False
        self._said: list[str] | None = [] if keep_text else None
        self.usage: Usage | None = None
        self.model = ""
        #: bytes of text that the model wrote
        self.written = 0
        self.finished = False
        self.failed: Failed | None = None
        #: kinds of pieces that only their own form has, in the order in which they came
        self.unshown: dict[str, None] = {}

    @property
    def text(self) -> str:
        return "".join(self._said or ())

    def note(self, delta: Delta) -> None:
        match delta:
            case Text(text):
                self.began = True
                self.written += len(text.encode())
                if self._said is not None:
                    self._said.append(text)
            case Thinking(text) | ToolArguments(_, text):
                self.began = True
                self.written += len(text.encode())
            case Start(model, _, _, usage):
                self.model = model or self.model
                self.usage = usage or self.usage
            case Finish(_, usage):
                self.began = self.finished = True
                self.usage = usage or self.usage
            case Failed(usage=usage):
                self.failed = delta
                self.usage = usage or self.usage
            case ToolStart() | Image():
                self.began = True
            case Unshown(kind):
                self.unshown.setdefault(kind)
            case _:
                pass


class Lines:
    """Cuts a stream of lines, as `SseReader` cuts one of events."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[SseEvent]:
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > EVENT_LIMIT_BYTES:
            raise PeerError("a line of a stream is too large")
        return [SseEvent(line + b"\n") for line in lines]

    def end(self) -> list[SseEvent]:
        rest, self._held = self._held, b""
        return [SseEvent(rest)] if rest else []


_CUTS: Final[dict[str, type[SseReader | Lines]]] = {
    "text/event-stream": SseReader,
    "application/x-ndjson": Lines,
}


class PassageBase:
    """What was learned of a stream, whoever passes it on."""

    __slots__ = ("_decoder", "_encoder", "_malformed", "noted", "service_tier")

    def __init__(
        self, decoder: StreamDecoder, encoder: StreamEncoder, *, model: str, keep_text: bool
    ) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._malformed: int | None = None
        self.noted = Noted(keep_text=keep_text)
        self.noted.model = model
        self.service_tier: str | None = None

    @property
    def usage(self) -> Usage | None:
        return self.noted.usage

    @property
    def model(self) -> str:
        return self.noted.model

    @property
    def written(self) -> int:
        return self.noted.written

    @property
    def text(self) -> str:
        return self.noted.text

    @property
    def began(self) -> bool:
        return self.noted.began

    @property
    def complete(self) -> bool:
        return self.noted.finished

    @property
    def failed(self) -> Failed | None:
        return self.noted.failed

    @property
    def unshown(self) -> tuple[str, ...]:
        return ()

    @property
    def malformed(self) -> int:
        return self._decoder.skipped if self._malformed is None else self._malformed

    def _ended(self) -> list[Delta]:
        """The last deltas. What was cut off at the end is no malformed event."""
        self._malformed = self._decoder.skipped
        return self._decoder.end()

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        failed = Failed(reason, trouble)
        self.noted.failed = self.noted.failed or failed
        return self._encoder.encode(failed)


class StreamPassage(PassageBase):
    """A stream whose events pass as they are. One that cannot be read is left out; if the stream ends
    before it is complete, the client is told so."""

    __slots__ = ("_cut", "_undecided")

    def __init__(self, form: Form, *, asked_model: str, keep_text: bool) -> None:
        encoder = form.stream_encoder(include_usage=True)
        super().__init__(form.stream_decoder(), encoder, model=asked_model, keep_text=keep_text)
        cut = _CUTS.get(form.STREAM_TYPE)
        #: `None` where events are not told apart: frames, and an array without an end
        self._cut = cut() if cut is not None else None
        self._undecided = True

    def feed(self, data: bytes, last: bool) -> bytes:
        if self._cut is None:
            passed = self._checked(data)
        else:
            if self._undecided and data:
                self._undecided = False
                if type(self._cut) is SseReader and data.lstrip()[:1] in (b"[", b"{"):
                    self._cut = None  # Gemini's other way to stream: an array
                    return self.feed(data, last)
            passed = b"".join([self._checked(event.raw) for event in self._cut.feed(data)])
        if not last:
            return passed
        rest = b"".join([event.raw for event in self._cut.end()]) if self._cut is not None else b""
        known = self.noted.failed
        for delta in [*self._decoder.feed(rest), *self._ended()]:
            self.noted.note(delta)
        failed = self.noted.failed
        if known is None and failed is not None:
            return passed + self._encoder.encode(failed)  # the provider itself told nobody
        return passed + rest

    def _checked(self, data: bytes) -> bytes:
        """The bytes, if they could be read."""
        decoder, noted = self._decoder, self.noted
        if noted.failed is not None and noted.failed.unread:
            return b""
        skipped = decoder.skipped
        for delta in decoder.feed(data):
            noted.note(delta)
            if isinstance(delta, Failed) and delta.unread:
                return self._encoder.encode(delta)
        return b"" if decoder.skipped > skipped and self._cut is not None else data


def written_in(chat: Chat) -> int:
    """Bytes of text that the model wrote."""
    texts = (
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in chat.parts
        if isinstance(part, Text | Thinking | ToolCall)
    )
    return sum(len(text.encode()) for text in texts)
