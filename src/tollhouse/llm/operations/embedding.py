"""Embeddings between a client's form and a provider's: through the neutral shape unless both are the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from tollhouse.llm.dialogue import Got, Reader
from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, batches, refuse_tokens
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats import openai_embeddings
from tollhouse.llm.formats.bedrock_converse import embeddings as bedrock
from tollhouse.llm.formats.cohere_chat import embed as cohere
from tollhouse.llm.formats.gemini import embeddings as gemini
from tollhouse.llm.formats.ollama_chat import embed as ollama
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import Asked
from tollhouse.pdk.usage import Usage

#: most texts in a request, as OpenAI has it
_MOST_TEXTS: Final = 2048


@dataclass(frozen=True, slots=True)
class _Client:
    decode: Callable[[bytes, Told], EmbeddingsRequest]
    encode: Callable[[Embeddings, EmbeddingsRequest], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Provider:
    #: of each request that it takes; most take all texts at once
    encode: Callable[[EmbeddingsRequest, list[str]], list[dict[str, Any]]]
    decode: Callable[[bytes, Mapping[str, str]], Embeddings]


def _at_once(
    encode: Callable[[EmbeddingsRequest, list[str]], dict[str, Any]],
) -> Callable[[EmbeddingsRequest, list[str]], list[dict[str, Any]]]:
    return lambda asked, ignored: [encode(asked, ignored)]


def _in_batches(
    encode: Callable[[EmbeddingsRequest, list[str]], dict[str, Any]],
    limit: Callable[[str], int],
) -> Callable[[EmbeddingsRequest, list[str]], list[dict[str, Any]]]:
    """`limit` tells how many texts a model takes at once."""

    def encode_all(asked: EmbeddingsRequest, ignored: list[str]) -> list[dict[str, Any]]:
        refuse_tokens(asked)
        return [encode(batch, ignored) for batch in batches(asked, limit(asked.model))]

    return encode_all


def _together(answers: list[Embeddings]) -> Embeddings:
    """One answer of several; tokens that some did not tell are not known of any."""
    first = answers[0]
    if len(answers) == 1:
        return first
    usages = [answer.usage for answer in answers if answer.usage is not None]
    vectors = tuple(vector for answer in answers for vector in answer.vectors)
    if len(usages) < len(answers):
        return replace(first, vectors=vectors, usage=None)
    total = Usage(sum(usage.prompt_tokens for usage in usages))
    if any(usage.billed is not None for usage in usages):
        total.billed = (sum((usage.billed or (usage.prompt_tokens, 0))[0] for usage in usages), 0)
    return replace(first, vectors=vectors, usage=total)


_CLIENTS: Final[Mapping[FormName, _Client]] = {
    "openai_chat": _Client(
        lambda body, _: openai_embeddings.decode_request(body),
        lambda answer, asked: openai_embeddings.encode_response(answer, asked.encoding),
    ),
    "gemini": _Client(gemini.decode_request, gemini.encode_response),
    "cohere_chat": _Client(lambda body, _: cohere.decode_request(body), cohere.encode_response),
    "ollama_chat": _Client(ollama.decode_request, ollama.encode_response),
}
_PROVIDERS: Final[Mapping[Wire, _Provider]] = {
    "openai": _Provider(
        _at_once(openai_embeddings.encode_request), lambda body, _: openai_embeddings.decode_response(body)
    ),
    "mistral": _Provider(
        _at_once(partial(openai_embeddings.encode_request, dialect="mistral")),
        lambda body, _: openai_embeddings.decode_response(body),
    ),
    "gemini": _Provider(
        _in_batches(gemini.encode_request, lambda _: gemini.BATCH_LIMIT),
        lambda body, _: gemini.decode_response(body),
    ),
    "vertex": _Provider(
        _in_batches(gemini.encode_predict, gemini.predict_limit),
        lambda body, _: gemini.decode_response(body),
    ),
    "cohere": _Provider(
        _in_batches(cohere.encode_request, lambda _: cohere.TEXTS_AT_MOST),
        lambda body, _: cohere.decode_response(body),
    ),
    "ollama": _Provider(_at_once(ollama.encode_request), lambda body, _: ollama.decode_response(body)),
    "bedrock": _Provider(
        bedrock.encode_requests, lambda body, headers: bedrock.decode_responses([(body, headers)])
    ),
}


def can_translate(client: FormName, wire: Wire) -> bool:
    return client in _CLIENTS and wire in _PROVIDERS


class EmbeddingTranslation:
    """One form towards the client, another towards the provider."""

    def __init__(self, client: FormName, wire: Wire) -> None:
        self._client = _CLIENTS[client]
        self._provider = _PROVIDERS[wire]

    def request(self, body: Body, asked: Asked, model: str, *, stream: bool) -> Outgoing:
        ignored: list[str] = []
        wanted = replace(self._client.decode(body.bytes_with(model), Told(model)), model=model)
        if len(wanted.texts) > _MOST_TEXTS:
            raise Refusal(f"input: at most {_MOST_TEXTS} texts a request; {len(wanted.texts)} were sent")
        if not (wanted.texts or wanted.tokens):
            raise Refusal("input: required")
        *others, last = map(msgspec.json.encode, self._provider.encode(wanted, ignored))
        names = tuple(dict.fromkeys(ignored))
        return Outgoing(last, tuple(others), ignored=names, asked=wanted, model=model)

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        got = [*out.answers, (content, headers)]
        found = _together([self._provider.decode(*one) for one in got])
        found = replace(found, model=found.model or out.model)
        encoded = msgspec.json.encode(self._client.encode(found, out.asked))
        return Got(encoded, found.model, found.usage)

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        return None
