"""Requests of `/v1/embeddings`, to and from the neutral shape."""

from typing import Any, Final, Literal

import msgspec

from tollhouse.llm.embeddings import EmbeddingsRequest, refuse_tokens
from tollhouse.llm.form import MALFORMED, Refusal, members_beyond

FORM: Final = "openai_embeddings"

Dialect = Literal["openai", "mistral"]


class _Request(msgspec.Struct):
    input: str | list[str | int | list[int]]
    model: str = ""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(_Request))


def decode_request(body: bytes) -> EmbeddingsRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a request for embeddings: {error}") from None
    texts, tokens = _inputs(typed.input)
    if not texts and not tokens:
        raise Refusal("input: expected at least one text")
    return EmbeddingsRequest(
        form=FORM,
        model=typed.model,
        texts=texts,
        tokens=tokens,
        encoding=typed.encoding_format or "float",
        dimensions=typed.dimensions,
        user=typed.user,
        extra=members_beyond(raw, _KNOWN),
    )


def _inputs(
    given: str | list[str | int | list[int]],
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Texts or token ids: one, or a list of either, never mixed."""
    if isinstance(given, str):
        return (given,), ()
    texts = tuple(item for item in given if isinstance(item, str))
    ids = tuple(item for item in given if isinstance(item, int))
    lists = tuple(tuple(item) for item in given if isinstance(item, list))
    if len(given) not in (len(texts), len(ids), len(lists)):
        raise Refusal("input: expected texts or token ids, not both")
    return texts, (ids,) if ids else lists


def encode_request(
    asked: EmbeddingsRequest, ignored: list[str], dialect: Dialect = "openai"
) -> dict[str, Any]:
    """The body for a provider. Mistral writes floats alone, and has a name of its own for their number:
    https://docs.mistral.ai/api/endpoint/embeddings"""
    body: dict[str, Any] = {"model": asked.model}
    if dialect == "mistral":
        refuse_tokens(asked)
    inputs: list[Any] = [list(ids) for ids in asked.tokens] or list(asked.texts)
    # One input is not wrapped: some compatible servers take only that.
    body["input"] = inputs[0] if len(inputs) == 1 else inputs
    if asked.encoding != "float" and dialect == "openai":
        body["encoding_format"] = asked.encoding
    if asked.dimensions is not None:
        body["dimensions" if dialect == "openai" else "output_dimension"] = asked.dimensions
    if asked.user is not None:
        if dialect == "openai":
            body["user"] = asked.user
        else:
            ignored.append("user")
    if asked.form == FORM:
        return body | dict(asked.extra)
    if asked.purpose is not None:
        ignored.append("input_type")
    ignored += asked.extra
    return body
