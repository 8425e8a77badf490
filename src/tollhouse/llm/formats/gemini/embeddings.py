"""Embeddings: `embedContent` and `batchEmbedContents`, and Vertex's `predict`, to and from the neutral shape.

https://ai.google.dev/api/embeddings,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, Purpose, refuse_tokens
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unreadable, members_beyond
from tollhouse.llm.formats.gemini.names import camel
from tollhouse.pdk.usage import Usage

#: the three ways to ask; an answer takes the shape of its question
SINGLE: Final = "gemini_embed"
BATCH: Final = "gemini_batch_embed"
PREDICT: Final = "vertex_predict"
#: most texts in one request
BATCH_LIMIT: Final = 100
_PREDICT_LIMIT: Final = 250
_PURPOSES: Final[Mapping[str, Purpose]] = {
    "RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_TASKS: Final = {purpose: name for name, purpose in _PURPOSES.items()}
_ALIKE: Final = "must be the same for all texts of a request"


class _Part(msgspec.Struct):
    text: str


class _Content(msgspec.Struct):
    parts: list[_Part]


class _Single(msgspec.Struct, rename="camel"):
    content: _Content
    task_type: str | None = None
    output_dimensionality: int | None = None
    model: str = ""


class _Instance(msgspec.Struct, rename="camel"):
    content: str
    task_type: str | None = None


class _Parameters(msgspec.Struct, rename="camel"):
    output_dimensionality: int | None = None


_KNOWN: Final = frozenset({"content", "taskType", "outputDimensionality", "model"})


def decode_request(body: bytes, told: Told = NOTHING_TOLD) -> EmbeddingsRequest:
    """Which of the three it is, its members tell. Raises `Refusal`."""
    try:
        given = camel(msgspec.json.decode(body, type=dict[str, Any]))
        if "instances" in given:
            return _predicted(given, told)
        items = given.get("requests", [given])
        raw = [camel(item) for item in msgspec.convert(items, type=list[dict[str, Any]])]
        typed = msgspec.convert(raw, type=list[_Single])
    except MALFORMED as error:
        raise Refusal(f"the request body is not a request for embeddings: {error}") from None
    if not typed:
        raise Refusal("requests: at least one is required")
    first, extra = typed[0], members_beyond(raw[0], _KNOWN)
    for one, members in zip(typed, raw, strict=True):
        if (one.task_type, one.output_dimensionality) != (first.task_type, first.output_dimensionality):
            raise Refusal(f"requests: taskType and outputDimensionality {_ALIKE}")
        if members_beyond(members, _KNOWN) != extra:
            raise Refusal(f"requests: {', '.join(members_beyond(members, _KNOWN) or extra)} {_ALIKE}")
    return EmbeddingsRequest(
        form=BATCH if "requests" in given else SINGLE,
        model=told.model or first.model.removeprefix("models/"),
        texts=tuple("".join(part.text for part in one.content.parts) for one in typed),
        dimensions=first.output_dimensionality,
        **_task(first.task_type, extra),
    )


def _predicted(given: dict[str, Any], told: Told) -> EmbeddingsRequest:
    instances = [camel(item) for item in msgspec.convert(given["instances"], type=list[dict[str, Any]])]
    typed = msgspec.convert(instances, type=list[_Instance])
    raw = camel(msgspec.convert(given.get("parameters") or {}, type=dict[str, Any]))
    parameters = msgspec.convert(raw, type=_Parameters)
    tasks = {one.task_type for one in typed}
    if len(tasks) > 1:
        raise Refusal(f"instances: task_type {_ALIKE}")
    return EmbeddingsRequest(
        form=PREDICT,
        model=told.model,
        texts=tuple(one.content for one in typed),
        dimensions=parameters.output_dimensionality,
        **_task(next(iter(tasks), None), members_beyond(raw, _KNOWN)),
    )


def _task(task: str | None, extra: dict[str, Any]) -> dict[str, Any]:
    """Tasks that no other provider has are kept by their name."""
    if task is not None and task not in _PURPOSES:
        extra["taskType"] = task
    return {"purpose": _PURPOSES.get(task or ""), "extra": extra}


def encode_request(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    """A body for `batchEmbedContents`. Raises `Refusal` for token ids."""
    kept = _kept(asked, ignored, {SINGLE, BATCH})
    task = _TASKS.get(asked.purpose) if asked.purpose is not None else None
    if task is not None:
        kept = {"taskType": task, **kept}
    if asked.dimensions is not None:
        kept["outputDimensionality"] = asked.dimensions
    model = f"models/{asked.model.removeprefix('models/')}"
    return {
        "requests": [{"model": model, "content": {"parts": [{"text": text}]}, **kept} for text in asked.texts]
    }


def predict_limit(model: str) -> int:
    """How many texts a model on Vertex takes in one `predict`."""
    return 1 if model.removeprefix("models/").startswith("gemini-embedding") else _PREDICT_LIMIT


def encode_predict(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    """A body for Vertex's `predict`. Raises `Refusal` for token ids."""
    parameters = _kept(asked, ignored, {PREDICT})
    task = _TASKS.get(asked.purpose) if asked.purpose is not None else parameters.pop("taskType", None)
    shared = {"task_type": task} if task is not None else {}
    if asked.dimensions is not None:
        parameters["outputDimensionality"] = asked.dimensions
    body: dict[str, Any] = {"instances": [{"content": text, **shared} for text in asked.texts]}
    return body | ({"parameters": parameters} if parameters else {})


def _kept(asked: EmbeddingsRequest, ignored: list[str], own: set[str]) -> dict[str, Any]:
    refuse_tokens(asked)
    if asked.user is not None:
        ignored.append("user")
    if asked.form in own:
        return dict(asked.extra)
    ignored += asked.extra
    return {}


class _Vector(msgspec.Struct):
    values: list[float]


class _Counts(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Statistics(msgspec.Struct):
    token_count: float | None = None


class _Predicted(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Predicted


class _Answer(msgspec.Struct, rename="camel"):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: _Counts | None = None


def decode_response(body: bytes) -> Embeddings:
    """Of any of the three. Older models do not tell what they used. Raises `Unreadable`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    if answer.predictions is not None:
        found = [one.embeddings for one in answer.predictions]
        counts = [one.statistics.token_count for one in found if one.statistics is not None]
        told = [int(count) for count in counts if count is not None]
        usage = Usage(sum(told)) if told else None
        return Embeddings(vectors=tuple(tuple(one.values) for one in found), usage=usage)
    vectors = [answer.embedding] if answer.embedding is not None else answer.embeddings
    if vectors is None:
        raise Unreadable("the answer has no embeddings")
    count = answer.usage_metadata.prompt_token_count if answer.usage_metadata is not None else None
    return Embeddings(
        vectors=tuple(tuple(one.values) for one in vectors), usage=None if count is None else Usage(count)
    )


class _Statistic(msgspec.Struct):
    statistics: _Statistics | None = None


class _Measured(msgspec.Struct):
    embeddings: _Statistic | None = None


class _Usage(msgspec.Struct, rename="camel"):
    predictions: list[_Measured] | None = None
    usage_metadata: _Counts | None = None


def decode_usage(body: bytes) -> Usage | None:
    """What an answer tells of its tokens, without its vectors. Raises what decoding raises."""
    answer = msgspec.json.decode(body, type=_Usage)
    if answer.usage_metadata is not None and answer.usage_metadata.prompt_token_count is not None:
        return Usage(answer.usage_metadata.prompt_token_count)
    found = [one.embeddings.statistics for one in answer.predictions or () if one.embeddings is not None]
    counts = [one.token_count for one in found if one is not None and one.token_count is not None]
    return Usage(int(sum(counts))) if counts else None


def encode_response(answer: Embeddings, asked: EmbeddingsRequest) -> dict[str, Any]:
    """For a client, in the shape of what it asked."""
    used = 0 if answer.usage is None else answer.usage.prompt_tokens
    if asked.form == PREDICT:
        # What a text had of all tokens is not known: the first one is said to have had them.
        shares = [used, *([0] * len(answer.vectors))]
        return {
            "predictions": [
                {"embeddings": {"values": vector, "statistics": {"truncated": False, "token_count": share}}}
                for vector, share in zip(answer.vectors, shares, strict=False)
            ]
        }
    vectors = [{"values": vector} for vector in answer.vectors]
    body: dict[str, Any] = {"embeddings": vectors}
    if asked.form == SINGLE:
        body = {"embedding": vectors[0] if vectors else {"values": []}}
    return body if answer.usage is None else {**body, "usageMetadata": {"promptTokenCount": used}}
