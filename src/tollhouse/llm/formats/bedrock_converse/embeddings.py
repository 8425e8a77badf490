"""Vectors of Titan's, Cohere's and Nova's models, which Bedrock serves by InvokeModel.

Titan and Nova take one text a call, Cohere's models up to 96: a request may become several, whose answers
are put together again.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, Purpose, refuse_tokens
from tollhouse.llm.form import MALFORMED, Refusal, Unreadable
from tollhouse.llm.formats.bedrock_converse.invoke import usage_in_headers
from tollhouse.pdk.usage import Usage

COHERE_TEXTS_AT_MOST: Final = 96
_COHERE_PURPOSES: Final[Mapping[Purpose, str]] = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
_NOVA_PURPOSES: Final[Mapping[Purpose, str]] = {
    "query": "GENERIC_RETRIEVAL",
    "document": "GENERIC_INDEX",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
#: the only version of Titan that does not let its vectors be shortened
_TITAN_1: Final = "titan-embed-text-v1"


def encode_requests(asked: EmbeddingsRequest, ignored: list[str]) -> list[dict[str, Any]]:
    """The bodies to send, in the order of the texts. Raises `Refusal`."""
    refuse_tokens(asked)
    if asked.user is not None:
        ignored.append("user")
    if "titan-embed" in asked.model:
        bodies = [_titan(text, asked) for text in asked.texts]
    elif "cohere.embed" in asked.model:
        starts = range(0, len(asked.texts), COHERE_TEXTS_AT_MOST)
        bodies = [_cohere(asked.texts[at : at + COHERE_TEXTS_AT_MOST], asked) for at in starts]
    elif "nova" in asked.model and "embed" in asked.model:
        bodies = [_nova(text, asked) for text in asked.texts]
    else:
        raise Refusal(f"model: it is not known here how '{asked.model}' is asked for vectors")
    ignored += [name for name in asked.extra if not any(name in body for body in bodies)]
    return bodies


def _titan(text: str, asked: EmbeddingsRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"inputText": text}
    if asked.dimensions is not None:
        if _TITAN_1 in asked.model:
            raise Refusal("dimensions: this model's vectors have one length")
        body["dimensions"] = asked.dimensions
    if isinstance(normalize := asked.extra.get("normalize"), bool):
        body["normalize"] = normalize
    return body


def _cohere(texts: tuple[str, ...], asked: EmbeddingsRequest) -> dict[str, Any]:
    """What vectors are for must be told; most of what is embedded is documents."""
    given = asked.extra.get("input_type")
    body: dict[str, Any] = {
        "texts": list(texts),
        "input_type": given or _COHERE_PURPOSES[asked.purpose or "document"],
        "embedding_types": ["float"],
    }
    if asked.dimensions is not None:
        if "embed-v4" not in asked.model:
            raise Refusal("dimensions: this model's vectors have one length")
        body["output_dimension"] = asked.dimensions
    if (truncate := asked.extra.get("truncate")) is not None:
        body["truncate"] = truncate
    return body


def _nova(text: str, asked: EmbeddingsRequest) -> dict[str, Any]:
    params: dict[str, Any] = {
        "embeddingPurpose": _NOVA_PURPOSES[asked.purpose or "document"],
        "text": {"truncationMode": "END", "value": text},
    }
    if asked.dimensions is not None:
        params["embeddingDimension"] = asked.dimensions
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}


class _NovaVector(msgspec.Struct):
    embedding: list[float]


class _ByType(msgspec.Struct):
    float: list[list[float]]


class _Answer(msgspec.Struct):
    #: Titan's
    embedding: list[float] | None = None
    inputTextTokenCount: int | None = None
    #: Cohere's, by type if types were asked for; Nova's
    embeddings: Any = None


def decode_responses(answers: Iterable[tuple[bytes, Mapping[str, str]]]) -> Embeddings:
    """Bodies and headers, their names in lower case, in the order of the requests. Cohere's and Nova's
    models tell their tokens in a header only. Raises `Unreadable`."""
    vectors: list[tuple[float, ...]] = []
    tokens: list[int] = []
    for body, headers in answers:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
            vectors += map(tuple, _vectors(answer))
        except MALFORMED as error:
            raise Unreadable(str(error)) from None
        told = usage_in_headers(headers)
        if answer.inputTextTokenCount is not None:
            tokens.append(answer.inputTextTokenCount)
        elif told is not None:
            tokens.append(told.prompt_tokens)
    return Embeddings(vectors=tuple(vectors), usage=Usage(sum(tokens)) if tokens else None)


def _vectors(answer: _Answer) -> list[list[float]]:
    if answer.embedding is not None:
        return [answer.embedding]
    match answer.embeddings:
        case {"float": _}:
            return msgspec.convert(answer.embeddings, _ByType).float
        case [{"embedding": _}, *_]:
            return [vector.embedding for vector in msgspec.convert(answer.embeddings, list[_NovaVector])]
        case _:
            return msgspec.convert(answer.embeddings, list[list[float]])
