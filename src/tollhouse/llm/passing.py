"""Client and provider speak the same form: bytes pass as they are, and what they say is noted.

OpenAI's form has a faster way of its own, `dialogue.Forwarding`.
"""

import msgspec

from tollhouse.llm.chat import Chat, Delta, Failed, Finish, Start, Text, Thinking, ToolArguments, ToolCall
from tollhouse.llm.dialogue import Got, Sent
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import Form, Refusal, StreamDecoder, StreamEncoder, Told, Unreadable
from tollhouse.llm.formats.openai_chat.forward import FALSE, TRUE, Members, body_of, is_true, members_of
from tollhouse.pdk.usage import Usage


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

    def answer(self, content: bytes, invented_id: str, now: int, model: str = "") -> Got:
        try:
            chat = self._form.decode_response(content)
        except Unreadable:
            # An answer that is not finished yet, or of a kind younger than this file: the client's to read.
            if not _is_object(content):
                raise
            return Got(content, model, None)
        return Got(content, chat.model or model, chat.usage, written=written_in(chat))

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
            case Failed(usage=usage):
                self.failed = delta
                self.usage = usage or self.usage
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


def written_in(chat: Chat) -> int:
    """Bytes of text that the model wrote."""
    texts = (
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in chat.parts
        if isinstance(part, Text | Thinking | ToolCall)
    )
    return sum(len(text.encode()) for text in texts)
