"""Embeddings in the middle: texts or token ids to turn into vectors, and the vectors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from tollhouse.llm.form import Refusal
from tollhouse.pdk.usage import Usage

#: what vectors are for, where a provider makes different ones for it
Purpose: TypeAlias = Literal["query", "document", "classification", "clustering"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsRequest:
    """`extra` has the members that no field covers, by their names in `form`."""

    #: the form the client speaks
    form: str
    model: str
    texts: tuple[str, ...] = ()
    #: in place of texts: token ids, which only the model's own tokenizer understands
    tokens: tuple[tuple[int, ...], ...] = ()
    #: how the client wants its vectors written
    encoding: Literal["float", "base64"] = "float"
    #: length of the vectors; `None` leaves it to the model
    dimensions: int | None = None
    purpose: Purpose | None = None
    user: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors in the order of the inputs. A model without a name is the one that was asked for."""

    vectors: tuple[tuple[float, ...], ...]
    model: str = ""
    usage: Usage | None = None
    id: str = ""


def batches(asked: EmbeddingsRequest, limit: int) -> Iterator[EmbeddingsRequest]:
    """The same in as many requests as it takes, of so many texts each."""
    for start in range(0, len(asked.texts), limit):
        yield replace(asked, texts=asked.texts[start : start + limit])


def refuse_tokens(asked: EmbeddingsRequest) -> None:
    """For every provider with another tokenizer than the client's. Raises `Refusal`."""
    if asked.tokens:
        raise Refusal("input: token ids are understood only by the model they were made for; send text")
