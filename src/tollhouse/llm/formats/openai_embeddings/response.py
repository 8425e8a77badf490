"""Answers of `/v1/embeddings`, to and from the neutral shape."""

import binascii
import math
import struct
from base64 import b64decode, b64encode
from typing import Any, Final, Literal

import msgspec

from tollhouse.llm.embeddings import Embeddings
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.pdk.usage import Usage

#: bytes of a float32
_FLOAT_BYTES: Final = 4


class _Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Counts | None = None
    id: str | None = None


def decode_response(body: bytes) -> Embeddings:
    """Vectors are put in order by their index. Raises `Unreadable`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        found = sorted(enumerate(answer.data), key=lambda item: _place(*item))
        vectors = tuple(_floats(vector.embedding) for _, vector in found)
    except (*MALFORMED, struct.error, binascii.Error) as error:
        raise Unreadable(str(error)) from None
    counts = answer.usage
    prompt = None if counts is None else counts.prompt_tokens or counts.total_tokens
    return Embeddings(
        vectors=vectors,
        model=answer.model or "",
        usage=None if prompt is None else Usage(prompt),
        id=answer.id or "",
    )


def _place(position: int, vector: _Vector) -> int:
    return position if vector.index is None else vector.index


def _floats(given: list[float] | str) -> tuple[float, ...]:
    if not isinstance(given, str):
        return tuple(given)
    data = b64decode(given, validate=True)
    floats = struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data)
    # Perplexity answers with bytes of integers, which no client has asked for under this name.
    if not all(map(math.isfinite, floats)):
        raise Unreadable("a vector in base64 is not of float32")
    return floats


def encode_response(answer: Embeddings, encoding: Literal["float", "base64"]) -> dict[str, Any]:
    """For a client, as it asked for its vectors: base64 is of float32, the lowest byte first."""
    # Mistral's SDK refuses an answer without an id.
    body: dict[str, Any] = {"id": answer.id} if answer.id else {}
    used = 0 if answer.usage is None else answer.usage.prompt_tokens
    return body | {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _shown(vector, encoding)}
            for index, vector in enumerate(answer.vectors)
        ],
        "model": answer.model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _shown(vector: tuple[float, ...], encoding: Literal["float", "base64"]) -> tuple[float, ...] | str:
    return vector if encoding == "float" else packed(vector)


def packed(vector: tuple[float, ...]) -> str:
    """A vector in base64, of float32 with the lowest byte first."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
