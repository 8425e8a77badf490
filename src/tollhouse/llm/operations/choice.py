"""Which work is between a client's form and a provider's, and whether there is any."""

from tollhouse.llm.endpoint import Unserved
from tollhouse.llm.operations.completing import CompletionTranslation
from tollhouse.llm.operations.embedding import EmbeddingTranslation, can_translate
from tollhouse.llm.operations.places import CHAT, ERROR_FORMS, Place, chats_at, place_at, place_of
from tollhouse.llm.operations.reranking import RerankTranslation
from tollhouse.llm.operations.work import Passing, Work
from tollhouse.llm.provider import Provider
from tollhouse.llm.providers import vertex
from tollhouse.llm.recognise import Asked
from tollhouse.llm.settings import Options


def place_for(provider: Provider, asked: Asked, options: Options, *, speaks_ollama: bool = False) -> Place:
    """Where the provider does what is asked for. Raises `Unserved` with the reason why it cannot."""
    url = options.upstream_url
    place = None
    if url is not None and asked.operation == "completions":
        place = chats_at(url, speaks_ollama=speaks_ollama or provider.form == "ollama_chat")
    if place is None and url is not None and not speaks_ollama:
        place = place_at(url, provider, asked)
    place = place or place_of(provider, asked, speaks_ollama)
    if place is None:
        raise Unserved(f"provider '{provider.name}' has no {_NAMES.get(asked.operation, asked.operation)}")
    if not _is_spoken(asked, place):
        raise Unserved(
            f"{_NAMES.get(asked.operation, asked.operation)} in this form cannot be asked of provider "
            f"'{provider.name}'"
        )
    deployed = options.azure_instance is not None or provider.name == "local"
    if provider.base_url is None and url is None and not deployed:
        raise Unserved(f"must set 'model.options.upstream_url' for {provider.name} provider")
    return place


_NAMES = {"speech": "audio", "transcriptions": "audio", "files": "files and batches", "invoke": "InvokeModel"}


def _is_spoken(asked: Asked, place: Place) -> bool:
    if _passes(asked, place):
        return True
    if asked.operation == "embeddings":
        return can_translate(asked.form, place.wire)
    return asked.operation in ("rerank", "completions")


def _passes(asked: Asked, place: Place) -> bool:
    """Whether both ends speak the same form."""
    if ERROR_FORMS[place.wire] != asked.form or place.wire == "mistral":
        return False
    if asked.operation == "completions":
        return not place.path.endswith(CHAT)
    if place.wire == "bedrock":
        return asked.operation in ("invoke", "count_tokens")
    if place.wire in ("gemini", "vertex"):
        # Of the three ways to ask for vectors each place takes one; without a tail nobody knows which it is.
        told = bool(asked.tail) or asked.operation != "embeddings"
        return told and place.path.endswith(asked.tail)
    return asked.tail != "/api/embeddings"


def work_between(
    asked: Asked, place: Place, model_in_path: bool, provider: Provider, *, drops: bool = False
) -> Work:
    """What turns requests and answers into one another; `drops`: without what cannot be expressed."""
    if _passes(asked, place):
        return Passing(place.wire, model_in_path=model_in_path, asks_usage=provider.asks_usage)
    if asked.operation == "rerank":
        return RerankTranslation(asked.form, place.wire)
    if asked.operation == "completions":
        on_vertex = place.path == vertex.RAW_PATHS[0]
        form = ERROR_FORMS[place.wire]
        return CompletionTranslation(form, provider, drops=drops, on_vertex=on_vertex)
    return EmbeddingTranslation(asked.form, place.wire)
