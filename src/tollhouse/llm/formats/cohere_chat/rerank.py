"""`/v2/rerank`: which of some texts answers a question best. https://docs.cohere.com/v2/reference/rerank

The form is Cohere's, but others speak it as well (Jina, Voyage and OpenRouter, with counts of tokens in
place of search units), and no client speaks another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tollhouse.llm.form import MALFORMED, Refusal, Unreadable, members_beyond
from tollhouse.llm.formats.cohere_chat.usage import Counts
from tollhouse.pdk.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """`extra` has the members that no field covers."""

    model: str
    query: str
    documents: tuple[str, ...]
    #: how many of the best to tell; `None`: all
    top_n: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document by its place in the request, and how well it fits, from 0 to 1."""

    index: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankAnswer:
    """The best first. `search_units` is what Cohere bills: a query with up to 100 documents."""

    results: tuple[Ranked, ...]
    id: str = ""
    search_units: int | None = None
    usage: Usage | None = None


class _Text(msgspec.Struct):
    text: str


class _Request(msgspec.Struct):
    model: str
    query: str
    #: an object with a text is of the first version
    documents: list[str | _Text]
    top_n: int | None = None


_KNOWN: Final = frozenset(item.name for item in msgspec.structs.fields(_Request))


def decode_request(body: bytes) -> RerankRequest:
    """Raises `Refusal` with the place of what is wrong."""
    try:
        raw = msgspec.json.decode(body)
        typed = msgspec.convert(raw, type=_Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a rerank request: {error}") from None
    return RerankRequest(
        model=typed.model,
        query=typed.query,
        documents=tuple(found if isinstance(found, str) else found.text for found in typed.documents),
        top_n=typed.top_n,
        extra=members_beyond(raw, _KNOWN),
    )


def encode_request(asked: RerankRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"model": asked.model, "query": asked.query, "documents": list(asked.documents)}
    if asked.top_n is not None:
        body["top_n"] = asked.top_n
    return body | dict(asked.extra)


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Total(msgspec.Struct):
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    results: list[_Result]
    id: str | None = None
    meta: Counts | None = None
    usage: _Total | None = None


def decode_response(body: bytes) -> RerankAnswer:
    """Raises `Unreadable`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    billed = answer.meta.billed_units if answer.meta else None
    units = None if billed is None or billed.search_units is None else int(billed.search_units)
    usage = answer.meta.usage() if answer.meta else None
    if usage is None and answer.usage is not None and answer.usage.total_tokens is not None:
        usage = Usage(answer.usage.total_tokens)
    results = tuple(Ranked(found.index, found.relevance_score) for found in answer.results)
    return RerankAnswer(results=results, id=answer.id or "", search_units=units, usage=usage)


def encode_response(answer: RerankAnswer) -> dict[str, Any]:
    billed: dict[str, int] = {}
    if answer.search_units is not None:
        billed["search_units"] = answer.search_units
    if answer.usage is not None:
        billed["input_tokens"] = answer.usage.prompt_tokens
    return {
        "id": answer.id,
        "results": [{"index": found.index, "relevance_score": found.score} for found in answer.results],
        "meta": {"api_version": {"version": "2"}, "billed_units": billed},
    }
