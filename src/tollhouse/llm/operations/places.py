"""Where providers have their operations, and which form they speak there.

Providers of OpenAI's form have all of them where OpenAI has them, beside chat completions: whether one really
has it, it says itself. The others have what is listed here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlsplit

from tollhouse.llm.provider import MODEL, FormName, Provider
from tollhouse.llm.providers import azure, vertex
from tollhouse.llm.recognise import Asked, Operation
from tollhouse.llm.settings import Model, Options, RouteType

#: forms of providers; two of them differ from what chats speak there
Wire: TypeAlias = Literal["openai", "mistral", "gemini", "vertex", "bedrock", "cohere", "ollama", "anthropic"]

#: where chats of OpenAI's form end
CHAT: Final = "/chat/completions"
#: where models on Vertex make vectors
_PREDICT: Final = ":predict"
_GOOGLES: Final = (_PREDICT, ":batchEmbedContents")
#: of a provider that has no place for what is asked for
PATH_FOR_ALL: Final = "/"


class Place(NamedTuple):
    """A path, with `{model}` where the model is told there, and the form that is spoken there."""

    wire: Wire
    path: str
    stream_path: str | None = None


_BEDROCK_INVOKE: Final = Place("bedrock", "/model/{model}/invoke")
_NATIVE: Final[Mapping[tuple[str, Operation], Place]] = {
    ("anthropic", "count_tokens"): Place("anthropic", "/v1/messages/count_tokens"),
    ("bedrock", "count_tokens"): Place("bedrock", "/model/{model}/count-tokens"),
    ("bedrock", "embeddings"): _BEDROCK_INVOKE,
    ("bedrock", "rerank"): _BEDROCK_INVOKE,
    ("bedrock", "invoke"): _BEDROCK_INVOKE._replace(stream_path="/model/{model}/invoke-with-response-stream"),
    ("cohere", "embeddings"): Place("cohere", "/v2/embed"),
    ("cohere", "rerank"): Place("cohere", "/v2/rerank"),
    ("gemini", "count_tokens"): Place("gemini", "/v1beta/models/{model}:countTokens"),
    ("gemini", "embeddings"): Place("gemini", "/v1beta/models/{model}:batchEmbedContents"),
    ("ollama", "completions"): Place("openai", "/v1/completions"),
    ("ollama", "embeddings"): Place("ollama", "/api/embed"),
    ("ollama", "generate"): Place("ollama", "/api/generate"),
}
#: the form that a provider's errors have there
ERROR_FORMS: Final[Mapping[Wire, FormName]] = {
    "openai": "openai_chat",
    "mistral": "openai_chat",
    "gemini": "gemini",
    "vertex": "gemini",
    "bedrock": "bedrock_converse",
    "cohere": "cohere_chat",
    "ollama": "ollama_chat",
    "anthropic": "anthropic_messages",
}
#: what is spoken where a provider chats
_CHAT_WIRES: Final[Mapping[FormName, Wire]] = {
    form: wire for wire, form in ERROR_FORMS.items() if wire not in ("mistral", "vertex")
}
#: where OpenAI has what nobody asks for by its path; else it is where the client says
_USUAL_TAILS: Final[Mapping[Operation, str]] = {
    "completions": "/completions",
    "embeddings": "/embeddings",
    "images": "/images/generations",
    "speech": "/audio/speech",
    "transcriptions": "/audio/transcriptions",
    "moderations": "/moderations",
    "rerank": "/rerank",
    "files": "",
}
#: what is asked for on routes of completions where the provider only chats
COMPLETIONS: Final[tuple[Operation, str]] = ("completions", "/completions")
#: what is asked for on routes of these types; the shorter names are Tollhouse's own
ROUTE_OPERATIONS: Final[Mapping[RouteType, tuple[Operation, str]]] = {
    "llm/v1/embeddings": ("embeddings", "/embeddings"),
    "llm/v1/rerank": ("rerank", "/rerank"),
    "llm/v1/moderations": ("moderations", "/moderations"),
    "llm/v1/images": ("images", "/images/generations"),
    "image/v1/images/generations": ("images", "/images/generations"),
    "image/v1/images/edits": ("images", "/images/edits"),
    "llm/v1/audio": ("speech", "/audio/speech"),
    "audio/v1/audio/speech": ("speech", "/audio/speech"),
    "audio/v1/audio/transcriptions": ("transcriptions", "/audio/transcriptions"),
    "audio/v1/audio/translations": ("transcriptions", "/audio/translations"),
    "llm/v1/files": ("files", "/files"),
    "llm/v1/batches": ("files", "/batches"),
}


def place_of(provider: Provider, asked: Asked, speaks_ollama: bool = False) -> Place | None:
    """Where the provider does what is asked for; `None` if it does not."""
    name = "ollama" if speaks_ollama else provider.name
    native = _NATIVE.get((name, asked.operation))
    if native is not None:
        if native.wire == "gemini" and asked.form == "gemini" and asked.tail:
            # Asked in Google's form, in one of its two ways: in the same way there.
            return native._replace(path=f"/v1beta/models/{MODEL}{asked.tail}")
        return native
    if asked.operation == "completions" and provider.completions_path is None and not speaks_ollama:
        # Who has none is asked to chat.
        return Place(_CHAT_WIRES[provider.form], provider.chat_path, provider.stream_path)
    usual = _USUAL_TAILS.get(asked.operation)
    if provider.form != "openai_chat" or speaks_ollama or usual is None:
        return None
    tail = asked.tail if asked.tail.startswith("/") else usual
    wire: Wire = "mistral" if name == "mistral" and asked.operation == "embeddings" else "openai"
    return Place(wire, provider.chat_path.removesuffix(CHAT) + tail)


def place_at(url: str, provider: Provider, asked: Asked) -> Place | None:
    """The same where the settings tell the whole URL. One that ends as OpenAI's does is taken at its word,
    whoever the provider is."""
    path = urlsplit(url).path
    tail = asked.tail or _USUAL_TAILS.get(asked.operation, "")
    place = place_of(provider, asked)
    if asked.operation == "embeddings" and path.endswith(_GOOGLES):
        # Google has several ways to ask, and the URL settles which of them it is.
        return Place("vertex" if path.endswith(_PREDICT) else "gemini", path)
    native = place is not None and place.path.rpartition("/")[2] == path.rpartition("/")[2]
    if native or not tail or not path.endswith(tail):
        return place
    return Place("mistral" if provider.name == "mistral" else "openai", path)


def chats_at(url: str, *, speaks_ollama: bool) -> Place | None:
    """The place of chats, if the URL is one of those, whoever the provider is."""
    path = urlsplit(url).path
    if path.endswith(CHAT):
        return Place("openai", path)
    return Place("ollama", path) if speaks_ollama and path.endswith("/api/chat") else None


def at_place(provider: Provider, place: Place) -> Provider:
    """The provider as if it had nothing else."""
    return replace(provider, chat_path=place.path, stream_path=place.stream_path, completions_path=None)


def at_cloud(model: Model, asked: Asked, place: Place) -> tuple[Model, Place]:
    """The settings of a model, with its address where they name a project or a deployment in a cloud."""
    options = model.options or Options()
    if options.upstream_url is not None:
        return model, place
    if model.provider == azure.PROVIDER.name and options.azure_instance is not None:
        tail = asked.tail or _USUAL_TAILS.get(asked.operation, "")
        url = azure.deployment_url(options.azure_instance, options.azure_deployment_id or "", tail)
        return replace(model, options=replace(options, upstream_url=url)), place
    cloud = options.gemini
    if asked.operation == "completions":
        claude = cloud is not None and vertex.is_anthropic(model.name or "")
        return model, Place("anthropic", *vertex.RAW_PATHS) if claude else place
    if model.provider == "gemini" and cloud is not None and cloud.api_endpoint is not None:
        method = "predict" if asked.operation == "embeddings" else asked.tail.lstrip(":")
        within = f"projects/{quote(cloud.project_id or '')}/locations/{quote(cloud.location_id or '')}"
        publisher = vertex.publisher_of(model.name or "")
        url = f"https://{cloud.api_endpoint}/v1/{within}/publishers/{publisher}/models/{MODEL}:{method}"
        wire: Wire = "vertex" if method == "predict" else "gemini"
        path = f"/publishers/{publisher}/models/{MODEL}:{method}"
        return replace(model, options=replace(options, upstream_url=url)), Place(wire, path)
    return model, place
