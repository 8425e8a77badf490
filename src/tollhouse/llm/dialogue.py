"""One exchange between a client and a provider: its request, its answer, whole or streamed.

Where both speak the same form the bytes are passed on (`Forwarding` for OpenAI's, `passing` for others),
else they are translated through the neutral form (`translation`). Whoever calls models sees no difference.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from tollhouse.llm.chat import Failed, ToolKind, Trouble
from tollhouse.llm.form import Form, ServerForm, Told
from tollhouse.llm.formats import (
    anthropic_messages,
    bedrock_converse,
    cohere_chat,
    gemini,
    ollama_chat,
    openai_chat,
    openai_responses,
    text_generation,
)
from tollhouse.llm.formats.ollama_chat import generate
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import Kind, Members, StreamMeter
from tollhouse.llm.provider import FormName, TextForm
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


TEXT_FORMS: Final[Mapping[TextForm, ServerForm]] = MappingProxyType(
    {
        "llama_raw": text_generation.LLAMA_RAW,
        "hugging_face": text_generation.HUGGING_FACE,
        "ollama_generate": generate,
    }
)


def name_of(form: Form) -> FormName:
    """The name of a form that is in the table."""
    return next(name for name, known in FORMS.items() if known is form)


class Sent(msgspec.Struct):
    """A request for the provider, and what must be remembered of it until its answer comes."""

    content: bytes
    #: the client wants usage in its stream
    include_usage: bool = False
    #: the gateway asked for usage in the client's place, and has to take it out again
    hide_usage: bool = False
    #: fields that the provider's form cannot express
    ignored: tuple[str, ...] = ()
    #: fields that were left out though the answer will be another one, as the operator allows
    dropped: tuple[str, ...] = ()
    #: the model that was asked for: some forms do not tell which one answered
    model: str = ""
    #: the client's tools that are functions only to the provider, by their names
    kinds: Mapping[str, ToolKind] = {}


class Got(msgspec.Struct):
    """A whole answer for the client, and what was learned from it."""

    content: bytes
    model: str
    usage: Usage | None
    service_tier: str | None = None
    #: bytes of text that the model wrote; counted only if no usage was told
    written: int = 0
    #: kinds of pieces that the client's form has no place for
    unshown: tuple[str, ...] = ()


class Reader(Protocol):
    """What was learned of a streamed answer so far."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def written(self) -> int:
        """Bytes of text that the model wrote."""
        ...

    @property
    def began(self) -> bool:
        """Something of the answer itself has come, not only what leads to it."""
        ...

    @property
    def complete(self) -> bool:
        """The answer has come to its end."""
        ...

    @property
    def failed(self) -> Failed | None:
        """Why it never will."""
        ...

    @property
    def malformed(self) -> int:
        """Events that could not be read, and were left out."""
        ...

    def feed(self, data: bytes, last: bool) -> bytes:
        """What to send to the client now. Raises `PeerError` where the stream is none."""
        ...

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        """What tells the client that no more will come of an answer that is not complete."""
        ...


class Passage(Reader, Protocol):
    """A model's streamed answer on its way to the client."""

    @property
    def service_tier(self) -> str | None: ...
    @property
    def text(self) -> str:
        """What the model said, if that was to be kept."""
        ...

    @property
    def unshown(self) -> tuple[str, ...]:
        """Kinds of pieces that the client's form has no place for."""
        ...


class Dialogue(Protocol):
    #: content type that a stream for the client gets; `None` leaves the provider's
    stream_type: str | None

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        """`told` is what the path says. Raises `Refusal` for what the provider's form cannot express."""
        ...

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
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

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        hide_usage = stream and self.ask_usage and forward.ask_for_usage(members)
        return Sent(forward.body_of(members), hide_usage=hide_usage)

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
        answer = forward.read_whole(content, self._kind)
        usage = answer.counted()
        written = 0 if usage is not None else forward.text_in(answer.choices)[1]
        return Got(content, answer.model or "", usage, answer.service_tier, written)

    def is_stream(self, content_type: str) -> bool:
        return content_type.startswith(_OPENAI.STREAM_TYPE)

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage:
        return StreamMeter(self._kind, hide_usage=sent.hide_usage, keep_text=keep_text)
