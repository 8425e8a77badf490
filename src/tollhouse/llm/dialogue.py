"""One exchange between a client and a provider: its request, its answer, whole or streamed.

Where both speak the same form the bytes are passed on (`Forwarding`), else they are translated through
the neutral form (`Translation`). Whoever calls models sees no difference between the two.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from tollhouse.llm.chat import (
    Chat,
    Delta,
    Failed,
    Finish,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolCall,
)
from tollhouse.llm.form import Form, Refusal
from tollhouse.llm.formats import (
    anthropic_messages,
    bedrock_converse,
    cohere_chat,
    gemini,
    ollama_chat,
    openai_chat,
    openai_responses,
)
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import Kind, Members, StreamMeter
from tollhouse.llm.provider import FormName
from tollhouse.pdk.usage import Usage

_OPENAI: Final[Form] = openai_chat
_OLLAMA: Final[Form] = ollama_chat
_ANTHROPIC: Final[Form] = anthropic_messages
_GEMINI: Final[Form] = gemini
_BEDROCK: Final[Form] = bedrock_converse
_RESPONSES: Final[Form] = openai_responses
_COHERE: Final[Form] = cohere_chat
FORMS: Final[Mapping[FormName, Form]] = MappingProxyType(
    {
        "openai_chat": _OPENAI,
        "ollama_chat": _OLLAMA,
        "anthropic_messages": _ANTHROPIC,
        "gemini": _GEMINI,
        "bedrock_converse": _BEDROCK,
        "openai_responses": _RESPONSES,
        "cohere_chat": _COHERE,
    }
)


class Sent(msgspec.Struct):
    """A request for the provider, and what must be remembered of it until its answer comes."""

    content: bytes
    #: the client wants usage in its stream
    include_usage: bool = False
    #: the gateway asked for usage in the client's place, and has to take it out again
    hide_usage: bool = False
    #: fields that the provider's form cannot express
    ignored: tuple[str, ...] = ()
    #: the model that was asked for: some forms do not tell which one answered
    model: str = ""


class Got(msgspec.Struct):
    """A whole answer for the client, and what was learned from it."""

    content: bytes
    model: str
    usage: Usage | None
    service_tier: str | None = None
    #: bytes of text that the model wrote; counted only if no usage was told
    written: int = 0


class Passage(Protocol):
    """A streamed answer on its way to the client, and what was learned from it so far."""

    usage: Usage | None
    model: str
    service_tier: str | None
    #: bytes of text that the model wrote
    written: int

    @property
    def text(self) -> str:
        """What the model said, if that was to be kept."""
        ...

    def feed(self, data: bytes, last: bool) -> bytes:
        """What to send to the client now."""
        ...

    def fail(self, reason: str) -> bytes:
        """What tells the client that no more will come of an answer that is not complete."""
        ...


class Dialogue(Protocol):
    #: content type that a stream for the client gets; `None` leaves the provider's
    stream_type: str | None

    def request(self, members: Members, *, stream: bool) -> Sent:
        """Raises `Refusal` for what the provider's form cannot express."""
        ...

    def answer(self, content: bytes, invented_id: str, now: int, model: str = "") -> Got:
        """What the provider did not tell of id, time and model is filled in; an empty id stays away.
        Raises `Unreadable`."""
        ...

    def is_stream(self, content_type: str) -> bool:
        """Whether an answer is streamed though nobody asked for that, and can be passed on so."""
        ...

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage: ...


class Forwarding:
    """OpenAI's form on both sides."""

    stream_type: str | None = None

    def __init__(self, kind: Kind, *, ask_usage: bool) -> None:
        self._kind = kind
        #: whether to ask for the usage of streams; some servers refuse to be asked
        self.ask_usage = ask_usage

    def request(self, members: Members, *, stream: bool) -> Sent:
        hide_usage = stream and self.ask_usage and forward.ask_for_usage(members)
        return Sent(forward.body_of(members), hide_usage=hide_usage)

    def answer(self, content: bytes, invented_id: str, now: int, model: str = "") -> Got:
        answer = forward.read_whole(content)
        usage = answer.counted()
        written = 0 if usage is not None else forward.text_in(answer.choices)[1]
        return Got(content, answer.model or "", usage, answer.service_tier, written)

    def is_stream(self, content_type: str) -> bool:
        return content_type.startswith(_OPENAI.STREAM_TYPE)

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage:
        return StreamMeter(self._kind, hide_usage=sent.hide_usage, keep_text=keep_text)


class Translation:
    """OpenAI's form towards the client, another one towards the provider."""

    def __init__(self, provider: FormName) -> None:
        self._provider = FORMS[provider]
        self.stream_type: str | None = _OPENAI.STREAM_TYPE

    def request(self, members: Members, *, stream: bool) -> Sent:
        ignored: list[str] = []
        chat = _OPENAI.decode_request(forward.body_of(members))
        if chat.own_only:
            raise Refusal(f"{chat.own_only[0]} is not supported by this model's provider")
        encoded = self._provider.encode_request(chat, ignored)
        names = tuple(dict.fromkeys(ignored))
        return Sent(msgspec.json.encode(encoded), chat.include_usage, ignored=names, model=chat.model)

    def answer(self, content: bytes, invented_id: str, now: int, model: str = "") -> Got:
        chat = self._provider.decode_response(content)
        chat = replace(
            chat, id=chat.id or invented_id, created=chat.created or now, model=chat.model or model
        )
        encoded = msgspec.json.encode(_OPENAI.encode_response(chat))
        return Got(encoded, chat.model, chat.usage, written=_written_in(chat))

    def is_stream(self, content_type: str) -> bool:
        return False

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage:
        return StreamTranslation(
            self._provider, _OPENAI, sent, invented_id=invented_id, now=now, keep_text=keep_text
        )


class StreamTranslation:
    """A streamed answer in another form."""

    __slots__ = (
        "_asked_model",
        "_decoder",
        "_encoder",
        "_invented_id",
        "_now",
        "_said",
        "model",
        "service_tier",
        "usage",
        "written",
    )

    def __init__(
        self, provider: Form, client: Form, sent: Sent, *, invented_id: str, now: int, keep_text: bool
    ) -> None:
        self._decoder = provider.stream_decoder()
        self._encoder = client.stream_encoder(include_usage=sent.include_usage)
        self._asked_model = sent.model
        self._invented_id = invented_id
        self._now = now
        self._said: list[str] | None = [] if keep_text else None
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        self.written = 0

    @property
    def text(self) -> str:
        return "".join(self._said or ())

    def feed(self, data: bytes, last: bool) -> bytes:
        deltas = self._decoder.feed(data)
        if last:
            deltas += self._decoder.end()
        return b"".join([self._encoder.encode(self._noted(delta)) for delta in deltas])

    def fail(self, reason: str) -> bytes:
        return self._encoder.encode(Failed(reason))

    def _noted(self, delta: Delta) -> Delta:
        match delta:
            case Start(model, id_, created, usage):
                self.model = model or self._asked_model
                return Start(self.model, id_ or self._invented_id, created or self._now, usage)
            case Text(text):
                self.written += len(text.encode())
                if self._said is not None:
                    self._said.append(text)
            case Thinking(text) | ToolArguments(_, text):
                self.written += len(text.encode())
            case Finish(_, usage) | Failed(_, _, usage):
                self.usage = usage
            case _:
                pass
        return delta


def _written_in(chat: Chat) -> int:
    """Bytes of text that the model wrote."""
    texts = (
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in chat.parts
        if isinstance(part, Text | Thinking | ToolCall)
    )
    return sum(len(text.encode()) for text in texts)
