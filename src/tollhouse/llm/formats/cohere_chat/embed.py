"""`/v2/embed`, to and from the neutral shape. https://docs.cohere.com/v2/reference/embed

What vectors are for must be told there; where a client of another form does not say it they are for
documents, which are most of what is embedded.
"""

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, Purpose, refuse_tokens
from tollhouse.llm.form import MALFORMED, Refusal, Unreadable, members_beyond
from tollhouse.llm.formats.cohere_chat.usage import Counts

FORM: Final = "cohere_embed"
_PURPOSES: Final[Mapping[str, Purpose]] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
_INPUT_TYPES: Final = {purpose: name for name, purpose in _PURPOSES.items()}
_NOT_SUPPORTED: Final = "not supported by the gateway for this model"
#: in one request
TEXTS_AT_MOST: Final = 96
#: bytes of a float32
_FLOAT_BYTES: Final = 4


class _Request(msgspec.Struct):
    model: str
    input_type: str
    texts: list[str] | None = None
    output_dimension: int | None = None
    embedding_types: list[str] | None = None


_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(_Request))


def decode_request(body: bytes) -> EmbeddingsRequest:
    """Texts in vectors of floats: pictures and vectors of small integers are only for Cohere itself.
    Raises `Refusal`."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a Cohere request for embeddings: {error}") from None
    types = typed.embedding_types or ["float"]
    if types not in (["float"], ["base64"]):
        raise Refusal(f"embedding_types: other than one of float and base64 is {_NOT_SUPPORTED}")
    if not typed.texts:
        raise Refusal(f"texts: required; other inputs are {_NOT_SUPPORTED}")
    purpose = _PURPOSES.get(typed.input_type)
    if purpose is None:
        raise Refusal(f"input_type: '{typed.input_type}' is {_NOT_SUPPORTED}")
    return EmbeddingsRequest(
        form=FORM,
        model=typed.model,
        texts=tuple(typed.texts),
        encoding="float" if types == ["float"] else "base64",
        dimensions=typed.output_dimension,
        purpose=purpose,
        extra=members_beyond(raw, _KNOWN),
    )


def encode_request(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    """The body for Cohere, or for its models elsewhere. Raises `Refusal` for token ids."""
    refuse_tokens(asked)
    body: dict[str, Any] = {
        "model": asked.model,
        "texts": list(asked.texts),
        "input_type": _INPUT_TYPES[asked.purpose or "document"],
        "embedding_types": [asked.encoding],
    }
    if asked.dimensions is not None:
        body["output_dimension"] = asked.dimensions
    if asked.user is not None:
        ignored.append("user")
    if asked.form == FORM:
        return body | dict(asked.extra)
    given = asked.extra.get("input_type")
    # Clients of OpenAI's form add Cohere's own word to their requests, as they must for its models.
    if given in _PURPOSES:
        body["input_type"] = given
    ignored += [name for name in asked.extra if name != "input_type" or given not in _PURPOSES]
    return body


class _Vectors(msgspec.Struct):
    floats: list[list[float]] | None = msgspec.field(name="float", default=None)
    base64: list[str] | None = None


class _Answer(msgspec.Struct):
    #: a list where no types were asked for: of older models elsewhere
    embeddings: _Vectors | list[list[float]]
    id: str | None = None
    meta: Counts | None = None


def decode_response(body: bytes) -> Embeddings:
    """Raises `Unreadable`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        vectors = _decoded(answer.embeddings)
    except (*MALFORMED, struct.error, binascii.Error) as error:
        raise Unreadable(str(error)) from None
    usage = answer.meta.usage() if answer.meta else None
    return Embeddings(vectors=vectors, usage=usage, id=answer.id or "")


def _decoded(given: _Vectors | list[list[float]]) -> tuple[tuple[float, ...], ...]:
    if isinstance(given, list):
        return tuple(map(tuple, given))
    if given.floats is not None:
        return tuple(map(tuple, given.floats))
    packed = [b64decode(text, validate=True) for text in given.base64 or ()]
    return tuple(struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data) for data in packed)


def encode_response(answer: Embeddings, asked: EmbeddingsRequest) -> dict[str, Any]:
    """For a client: its texts are told again."""
    if asked.encoding == "float":
        vectors: list[Any] = list(answer.vectors)
    else:
        packed = [struct.pack(f"<{len(vector)}f", *vector) for vector in answer.vectors]
        vectors = [b64encode(data).decode() for data in packed]
    used = 0 if answer.usage is None else answer.usage.prompt_tokens
    return {
        "id": answer.id,
        "response_type": "embeddings_by_type",
        "embeddings": {asked.encoding: vectors},
        "texts": list(asked.texts),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": used}},
    }
