"""Where a model is called: from the settings of a plugin to an address, a path and a wire form."""

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlsplit

from tollhouse.llm.provider import MODEL, OPENAI_CHAT_PATH, REGION, FormName, Provider, TextForm
from tollhouse.llm.providers import PROVIDERS, vertex
from tollhouse.llm.settings import Gemini, RouteType
from tollhouse.wire.uri import escape

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._:\-]+")
_RESPONSES: Final = "/responses"
_COMPLETIONS: Final = "/completions"
_OLLAMA_CHAT: Final = "/api/chat"
_OLLAMA_GENERATE: Final = "/api/generate"


class Unserved(Exception):
    """A configuration that is right, but for what this version cannot do."""


def served(
    name: str,
    *,
    route_type: RouteType,
    server_format: str | None,
    upstream_url: str | None,
    deployed: bool = False,
    client: FormName = "openai_chat",
    vertex_model: str | None = None,
) -> tuple[Provider, FormName]:
    """The provider of that name and the form to speak with it. Raises `Unserved`.

    `deployed`: the settings name a deployment, and so where the provider is. `server_format` is what
    they say of a self-hosted server. An upstream URL that ends as OpenAI's do is taken at its word,
    whoever the provider is. Clients of OpenAI's responses are not translated where the provider has them.
    `vertex_model` is a model on Google Cloud, if it is there.
    """
    provider = PROVIDERS[name]
    if vertex_model is not None and vertex.is_anthropic(vertex_model):
        provider = vertex.speaking_anthropic(provider)
    path = "" if upstream_url is None else urlsplit(upstream_url).path
    compatible = path.endswith(provider.compatible_paths)
    responses = client == "openai_responses" and provider.responses_path is not None and not deployed
    if server_format == "raw" and client != "openai_chat":
        raise Unserved("llama2_format 'raw' needs llm_format 'openai'")
    form = provider.form
    if server_format is not None:
        form = "ollama_chat" if server_format == "ollama" else "openai_chat"
    elif path.endswith(_RESPONSES) or (responses and not compatible):
        form = "openai_responses"
    elif compatible or (route_type == "llm/v1/completions" and path.endswith(_COMPLETIONS)):
        form = "openai_chat"
    if provider.base_url is None and upstream_url is None and name != "local" and not deployed:
        raise Unserved(f"must set 'model.options.upstream_url' for {name} provider")
    return provider, form


def text_form(
    name: str, *, route_type: RouteType, server_format: str | None, upstream_url: str | None
) -> TextForm | None:
    """How a server that goes on with a text is spoken with, where Kong speaks so; `None` for all others.

    An upstream URL of chats is taken at its word, whatever the settings call the server.
    """
    if server_format == "raw":
        return "llama_raw"
    if route_type != "llm/v1/completions" or upstream_url is None:
        return None
    path = urlsplit(upstream_url).path
    if server_format == "ollama":
        return None if path.endswith(_OLLAMA_CHAT) else "ollama_generate"
    if name == "ollama":
        return "ollama_generate" if path.endswith(_OLLAMA_GENERATE) else None
    return "hugging_face" if name == "huggingface" and not path.endswith(_COMPLETIONS) else None


def only_chats(provider: Provider, form: FormName, upstream_url: str | None) -> bool:
    """Whether completions of text have to be asked of it in chats."""
    if form != "openai_chat":
        return True
    has_none = provider.completions_path is None
    return has_none and (
        upstream_url is None or urlsplit(upstream_url).path.endswith(provider.compatible_paths)
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address as scheme, host and port, and what follows it."""

    address: tuple[str, str, int]
    path: str
    query: str = ""
    #: where answers are streamed, if it is somewhere else
    stream: "Endpoint | None" = None
    #: name and value of an argument for those who do not give it themselves
    usual_argument: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        """The bare host, as Kong sends it even where the port is not the scheme's own."""
        name = self.address[1]
        return f"[{name}]" if ":" in name else name


def endpoint_at(url: str) -> Endpoint:
    """Raises `ValueError` for what is no URL with a host."""
    parts = urlsplit(url)
    # Parts of it may come from a client: nothing that could end a line or a field gets through.
    if parts.scheme not in _PORTS or _HOST.fullmatch(parts.hostname or "") is None:
        raise ValueError("the address of the model is not a URL with a host")
    port = parts.port or _PORTS[parts.scheme]
    return Endpoint(
        (parts.scheme, parts.hostname or "", port), escape(parts.path) or "/", escape(parts.query)
    )


def endpoint_of(
    provider: Provider,
    form: FormName,
    route_type: RouteType,
    *,
    model: str = "",
    upstream_url: str | None = None,
    upstream_path: str | None = None,
    local: tuple[str, int] | None = None,
    google_cloud: Gemini | None = None,
    region: str = "",
) -> Endpoint:
    """Where the provider is called for such a route. `local` is where the embedded model listens.

    Raises `ValueError` if there is no address.
    """
    native = form == provider.form
    if upstream_url is not None:
        endpoint = endpoint_at(_filled(upstream_url, model))
        if provider.name == "huggingface" and route_type == "llm/v1/chat":
            endpoint = _of_chats(endpoint)
        return _with_stream(endpoint, provider) if native else endpoint
    if native and google_cloud is not None and google_cloud.api_endpoint is not None:
        place = vertex.Place(google_cloud.project_id or "", google_cloud.location_id or "")
        path = upstream_path or vertex.chat_path(place, model)
        return _with_stream(endpoint_at(f"https://{google_cloud.api_endpoint}/{path.lstrip('/')}"), provider)
    endpoint = _usual(provider, local, region)
    base = endpoint.path.rstrip("/")
    if upstream_path is not None:
        path = "/" + escape(upstream_path).lstrip("/")
    elif route_type == "llm/v1/completions" and provider.completions_path is not None:
        path = base + provider.completions_path
    elif form == "openai_responses" and provider.responses_path is not None:
        path = base + provider.responses_path
    else:
        path = base + _filled(provider.chat_path if native else OPENAI_CHAT_PATH, model)
    endpoint = Endpoint(endpoint.address, path)
    return _with_stream(endpoint, provider) if native else endpoint


def _of_chats(endpoint: Endpoint) -> Endpoint:
    """Where an endpoint of Hugging Face has its chats, if only the endpoint was named, as Kong wants it."""
    if endpoint.path.endswith(("/chat/completions", _RESPONSES)):
        return endpoint
    return replace(endpoint, path=endpoint.path.rstrip("/") + OPENAI_CHAT_PATH)


def _usual(provider: Provider, local: tuple[str, int] | None, region: str) -> Endpoint:
    """Where the provider is if nobody said otherwise."""
    if provider.name == "local":
        if local is None:
            raise ValueError("the embedded model is not installed on this node")
        return Endpoint(("http", *local), "")
    if provider.base_url is None:
        raise ValueError(f"nobody told where {provider.name} is")
    return endpoint_at(provider.base_url.replace(REGION, region))


def _filled(path: str, model: str) -> str:
    """A path with the model in its place. A client may have chosen it: it stays one segment."""
    before, place, after = path.partition(MODEL)
    if not place:
        return path
    # Google's names begin with the collection that the path has as well.
    collection = before.rstrip("/").rpartition("/")[2]
    return before + quote(model.removeprefix(f"{collection}/"), safe="@") + after


def _with_stream(endpoint: Endpoint, provider: Provider) -> Endpoint:
    """The endpoint and that for streamed answers, where the provider has two and this is one of its own."""
    if provider.stream_path is None:
        return endpoint
    operation = provider.chat_path.rpartition(MODEL)[2]
    streaming, _, query = provider.stream_path.rpartition(MODEL)[2].partition("?")
    if not endpoint.path.endswith(operation):
        return endpoint
    query = f"{endpoint.query}&{query}" if endpoint.query and query else endpoint.query or query
    path = endpoint.path.removesuffix(operation) + streaming
    return replace(endpoint, stream=Endpoint(endpoint.address, path, query))
