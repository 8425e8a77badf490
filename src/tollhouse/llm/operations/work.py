"""How one operation's requests and answers pass between a client and a provider."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from tollhouse.llm.dialogue import Got, Reader
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import COMPLETIONS, StreamMeter
from tollhouse.llm.formats.openai_embeddings import response as openai_embeddings
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.streams import reader_for
from tollhouse.llm.recognise import Asked

_BASE64: Final = msgspec.Raw(b'"base64"')
_JSON: Final = "application/json"
_SSE: Final = "text/event-stream"


class Outgoing(msgspec.Struct):
    """A request for the provider, and what is needed when its answer comes."""

    content: bytes
    #: what has to be asked for before `content`, where a provider takes less in one request
    others: tuple[bytes, ...] = ()
    #: bodies and headers that came for those
    answers: list[tuple[bytes, Mapping[str, str]]] = []
    #: fields that the provider's form cannot express
    ignored: tuple[str, ...] = ()
    #: fields that were left out though the answer will be another one, as the operator allows
    dropped: tuple[str, ...] = ()
    #: what the client asked for, in the neutral shape, if it was translated
    asked: Any = None
    #: the model that was asked for
    model: str = ""
    #: the client wants its vectors in base64
    base64: bool = False
    #: of a stream of completions: the gateway asked for usage in the client's place
    hide_usage: bool | None = None
    #: the client's type of stream, if it may be another than the provider's
    stream_type: str = ""
    #: what stands for an id and a time (in seconds since the epoch) that the provider does not tell
    id: str = ""
    at: int = 0


class Work(Protocol):
    """One operation between a client's form and a provider's."""

    def request(self, body: Body, asked: Asked, model: str, *, stream: bool) -> Outgoing:
        """Raises `Refusal`."""
        ...

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        """A whole answer for the client. Raises `Unreadable`."""
        ...

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        """Who reads a streamed answer; `None` for one that is passed on unread: sound."""
        ...


class Passing:
    """Both speak the same form: bytes pass with the fewest edits."""

    def __init__(self, wire: Wire, *, model_in_path: bool, asks_usage: bool = False) -> None:
        self._wire = wire
        self._model_in_path = model_in_path
        #: streams are asked to tell usage
        self._asks_usage = asks_usage

    def request(self, body: Body, asked: Asked, model: str, *, stream: bool) -> Outgoing:
        base64, hide_usage = False, None
        members = body.members
        if members is not None:
            base64 = members.get("encoding_format") == _BASE64
            if stream and asked.operation == "completions":
                hide_usage = self._asks_usage and forward.ask_for_usage(members)
        # Who tells the model in the path may tell it in the body as well, and then in the same words.
        names_model = not self._model_in_path and model
        content = body.bytes_with(model if names_model else None)
        return Outgoing(content, model=model, base64=base64, hide_usage=hide_usage)

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        usage, model = usage_told(content, headers, self._wire)
        is_json = headers.get("content-type", _JSON).startswith(_JSON)
        written = 0 if usage is not None or is_json else len(content)
        if out.base64:
            content = _packed(content)
        return Got(content, model, usage, written=written)

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        if out.hide_usage is not None and content_type.startswith(_SSE):
            return StreamMeter(COMPLETIONS, hide_usage=out.hide_usage)
        return reader_for(content_type)


class _Embedded(msgspec.Struct):
    embedding: msgspec.Raw


class _Vectors(msgspec.Struct):
    data: list[_Embedded]


def _packed(content: bytes) -> bytes:
    """An answer whose vectors are base64: many a compatible server sends floats whatever it was asked, and
    not every SDK takes those in place of what it wanted."""
    try:
        found = msgspec.json.decode(content, type=_Vectors)
        if not found.data or bytes(found.data[0].embedding).startswith(b'"'):
            return content
        vectors = openai_embeddings.decode_response(content).vectors
        answer = msgspec.json.decode(content, type=dict[str, Any])
    except (*MALFORMED, Unreadable):
        return content  # the client sees what is wrong with it
    for item, vector in zip(answer["data"], vectors, strict=False):
        item["embedding"] = openai_embeddings.packed(vector)
    return msgspec.json.encode(answer)
