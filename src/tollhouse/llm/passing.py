"""Client and provider speak the same form: bytes pass as they are, and what they say is noted.

OpenAI's form has a faster way of its own, `dialogue.Forwarding`.
"""

from typing import Final

import msgspec

from tollhouse.llm.chat import Delta, Failed, Finish, Start, Text, Thinking, ToolArguments
from tollhouse.llm.form import MALFORMED, Form, Refusal, StreamDecoder, StreamEncoder
from tollhouse.pdk.usage import Usage

_NO_OBJECT: Final = "the request body is not a JSON object"

Members = dict[str, msgspec.Raw]


def members_in(body: bytes) -> Members:
    """The members of a request, as they were written. Raises `Refusal`."""
    try:
        return msgspec.json.decode(body, type=Members)
    except MALFORMED as error:
        raise Refusal(f"{_NO_OBJECT}: {error}") from None


class Noted:
    """What a streamed answer has told so far."""

    __slots__ = ("_said", "failed", "finished", "model", "usage", "written")

    def __init__(self, *, keep_text: bool) -> None:
        self._said: list[str] | None = [] if keep_text else None
        self.usage: Usage | None = None
        self.model = ""
        #: bytes of text that the model wrote
        self.written = 0
        self.finished = False
        self.failed: Failed | None = None

    @property
    def text(self) -> str:
        return "".join(self._said or ())

    def note(self, delta: Delta) -> None:
        match delta:
            case Text(text):
                self.written += len(text.encode())
                if self._said is not None:
                    self._said.append(text)
            case Thinking(text) | ToolArguments(_, text):
                self.written += len(text.encode())
            case Start(model, _, _, usage):
                self.model = model or self.model
                self.usage = usage or self.usage
            case Finish(_, usage):
                self.finished = True
                self.usage = usage or self.usage
            case Failed():
                self.failed = delta
            case _:
                pass


class StreamPassage:
    """A stream that passes untouched. If it ends before it is complete, the client is told so."""

    __slots__ = ("_decoder", "_encoder", "noted", "service_tier")

    def __init__(self, form: Form, *, asked_model: str, keep_text: bool) -> None:
        self._decoder: StreamDecoder = form.stream_decoder()
        self._encoder: StreamEncoder = form.stream_encoder(include_usage=True)
        self.noted = Noted(keep_text=keep_text)
        self.noted.model = asked_model
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

    def feed(self, data: bytes, last: bool) -> bytes:
        noted = self.noted
        for delta in self._decoder.feed(data):
            noted.note(delta)
        if not last:
            return data
        told = noted.failed
        for delta in self._decoder.end():
            noted.note(delta)
        if told is None and noted.failed is not None:
            return data + self._encoder.encode(noted.failed)  # the provider itself told nobody
        return data

    def fail(self, reason: str) -> bytes:
        return self._encoder.encode(Failed(reason))
