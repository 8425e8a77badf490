"""Embeddings between a client's form and a provider's: through the neutral shape unless both are the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from tollhouse.llm.dialogue import Got
from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats import openai_embeddings
from tollhouse.llm.formats.bedrock_converse import embeddings as bedrock
from tollhouse.llm.formats.cohere_chat import embed as cohere
from tollhouse.llm.formats.gemini import embeddings as gemini
from tollhouse.llm.formats.ollama_chat import embed as ollama
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.streams import Reader
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import Asked

#: of Google's limit, which it tells in words that do not name it
_GEMINI_TEXTS: Final = gemini.BATCH_LIMIT


@dataclass(frozen=True, slots=True)
class _Client:
    decode: Callable[[bytes, Told], EmbeddingsRequest]
    encode: Callable[[Embeddings, EmbeddingsRequest], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Provider:
    encode: Callable[[EmbeddingsRequest, list[str]], dict[str, Any]]
    decode: Callable[[bytes, Mapping[str, str]], Embeddings]


def _one_call(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    """Bedrock's models differ in how many texts they take; a request here is one request there."""
    bodies = bedrock.encode_requests(asked, ignored)
    if len(bodies) != 1:
        most = "96 texts" if "cohere.embed" in asked.model else "one text"
        raise Refusal(f"input: {asked.model} takes {most} a request; {len(asked.texts)} were sent")
    return bodies[0]


def _batch(asked: EmbeddingsRequest, ignored: list[str]) -> dict[str, Any]:
    if len(asked.texts) > _GEMINI_TEXTS:
        raise Refusal(f"input: Gemini takes {_GEMINI_TEXTS} texts a request; {len(asked.texts)} were sent")
    return gemini.encode_request(asked, ignored)


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
        openai_embeddings.encode_request, lambda body, _: openai_embeddings.decode_response(body)
    ),
    "mistral": _Provider(
        partial(openai_embeddings.encode_request, dialect="mistral"),
        lambda body, _: openai_embeddings.decode_response(body),
    ),
    "gemini": _Provider(_batch, lambda body, _: gemini.decode_response(body)),
    "vertex": _Provider(gemini.encode_predict, lambda body, _: gemini.decode_response(body)),
    "cohere": _Provider(cohere.encode_request, lambda body, _: cohere.decode_response(body)),
    "ollama": _Provider(ollama.encode_request, lambda body, _: ollama.decode_response(body)),
    "bedrock": _Provider(_one_call, lambda body, headers: bedrock.decode_responses([(body, headers)])),
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
        encoded = self._provider.encode(wanted, ignored)
        names = tuple(dict.fromkeys(ignored))
        return Outgoing(msgspec.json.encode(encoded), ignored=names, asked=wanted, model=model)

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        found = self._provider.decode(content, headers)
        found = replace(found, model=found.model or out.model)
        encoded = msgspec.json.encode(self._client.encode(found, out.asked))
        return Got(encoded, found.model, found.usage)

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        return None
