"""Ollama's `/api/embed`, and `/api/embeddings` before it, to and from the neutral shape.
https://docs.ollama.com/api/embed
"""

from typing import Any, Final

import msgspec

from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, refuse_tokens
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unreadable, members_beyond
from tollhouse.pdk.usage import Usage

FORM: Final = "ollama_embed"
#: the older way: one text as `prompt`, one vector
SINGLE: Final = "ollama_embeddings"


class _Request(msgspec.Struct):
    model: str = ""
    input: str | list[str] | None = None
    prompt: str | None = None
    dimensions: int | None = None


_KNOWN: Final = frozenset(item.name for item in msgspec.structs.fields(_Request))


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> EmbeddingsRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not an Ollama request for embeddings: {error}") from None
    single = typed.input is None and typed.prompt is not None
    texts = typed.prompt if single else typed.input
    if not texts:
        raise Refusal("input: expected at least one text")
    return EmbeddingsRequest(
        form=SINGLE if single else FORM,
        model=typed.model,
        texts=(texts,) if isinstance(texts, str) else tuple(texts),
        dimensions=typed.dimensions,
        extra=members_beyond(raw, _KNOWN),
    )


def encode_request(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    """The body for `/api/embed`. Raises `Refusal` for token ids."""
    refuse_tokens(asked)
    body: dict[str, Any] = {"model": asked.model, "input": list(asked.texts)}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    if asked.user is not None:
        ignored.append("user")
    if asked.purpose is not None:
        ignored.append("input_type")
    if asked.form in (FORM, SINGLE):
        return body | dict(asked.extra)
    ignored += asked.extra
    return body


class _Answer(msgspec.Struct):
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    model: str = ""
    prompt_eval_count: int | None = None


def decode_response(body: bytes) -> Embeddings:
    """Raises `Unreadable`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    vectors = answer.embeddings if answer.embeddings is not None else [answer.embedding or []]
    count = answer.prompt_eval_count
    return Embeddings(
        vectors=tuple(map(tuple, vectors)),
        model=answer.model,
        usage=None if count is None else Usage(count),
    )


def encode_response(answer: Embeddings, asked: EmbeddingsRequest) -> dict[str, Any]:
    """For a client, in the way it asked."""
    if asked.form == SINGLE:
        return {"embedding": answer.vectors[0] if answer.vectors else []}
    used = 0 if answer.usage is None else answer.usage.prompt_tokens
    return {
        "model": answer.model,
        "embeddings": answer.vectors,
        "total_duration": 0,
        "load_duration": 0,
        "prompt_eval_count": used,
    }
