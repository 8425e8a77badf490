"""The model that a request is for and where it is called, as far as the settings leave that open."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tollhouse.llm.credentials import Credentials
from tollhouse.llm.endpoint import Endpoint, endpoint_of
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat.forward import NULL, Members, text_of
from tollhouse.llm.provider import FormName, Provider
from tollhouse.llm.providers import azure
from tollhouse.llm.settings import Gemini, Model, Options, RouteType
from tollhouse.llm.templates import filled, is_template
from tollhouse.pdk import Exchange
from tollhouse.wire.uri import without_arguments

_KNOWN_AT_MOST: Final = 1024
_FIELD_CHARACTERS: Final = 1000
_NOT_PRINTABLE: Final = re.compile(r"[^ -~]")
_NO_LOCAL_MODEL: Final = "the embedded model is not installed on this node: pip install 'tollhouse[local]'"
#: settings that may say where in a request their value is
_TEMPLATES: Final = (
    *("upstream_url", "upstream_path"),
    *("azure_instance", "azure_deployment_id", "azure_api_version"),
)
#: those of models on Google Cloud
_CLOUD_TEMPLATES: Final = ("api_endpoint", "project_id", "location_id")
_NO_MODEL: Final = "model parameter not found in request, nor in gateway configuration"


def printable(text: str) -> str:
    """Text that a client chose, fit for a header field."""
    return _NOT_PRINTABLE.sub("?", text[:_FIELD_CHARACTERS])


@dataclass(frozen=True, slots=True)
class Destination:
    """A model at an endpoint, with what requests and answers need of them made ready."""

    endpoint: Endpoint
    model: str
    model_json: msgspec.Raw
    #: the line that tells the client the model, and those that tell who answers, each with CRLF
    shown: str
    who: str

    def address(self, ex: Exchange, path: str, credentials: Credentials, *, stream: bool = False) -> None:
        """Directs the exchange to `path` there, or to where answers are streamed; the client's query
        goes along, but for its keys."""
        endpoint = self.endpoint
        if stream and endpoint.stream is not None:
            endpoint = endpoint.stream
            path = endpoint.path
        ex.upstream_address = endpoint.address
        ex.upstream_host = endpoint.host
        earlier, asked = ex.upstream_target, ex.request.target.query
        if not (earlier or asked or endpoint.query or endpoint.usual_argument or credentials.in_query):
            ex.upstream_target = path
            return
        query = (asked or "") if earlier is None else earlier.partition("?")[2]
        if query or credentials.in_query:
            query = credentials.put_in_query(query)
        if endpoint.usual_argument is not None:
            name, value = endpoint.usual_argument
            if without_arguments(query, frozenset({name})) == query:
                argument = f"{name}={quote(value, safe='')}"
                query = f"{query}&{argument}" if query else argument
        if endpoint.query:
            query = f"{endpoint.query}&{query}" if query else endpoint.query
        ex.upstream_target = f"{path}?{query}" if query else path


class Destinations:
    """The destinations of one configuration: a single one unless something depends on the request."""

    def __init__(
        self,
        model: Model,
        provider: Provider,
        form: FormName,
        route_type: RouteType,
        local: tuple[str, int] | None,
        region: str = "",
    ) -> None:
        self._settings = model
        self._options = options = model.options or Options()
        self._provider = provider
        self._form = form
        self._route_type = route_type
        self._local = local
        self._region = region
        self._is_missing = provider.name == "local" and options.upstream_url is None and local is None
        self._known: dict[tuple[str, ...], Destination] = {}
        texts = {name: getattr(options, name) for name in _TEMPLATES}
        #: settings that are filled in from each request
        self._templates = {name: text for name, text in texts.items() if is_template(text)}
        cloud = {name: getattr(options.gemini, name, None) or "" for name in _CLOUD_TEMPLATES}
        self._cloud_templates = {name: text for name, text in cloud.items() if is_template(text)}
        varies = model.name is None or is_template(model.name) or self._templates or self._cloud_templates
        #: the one that all requests go to, if it does not depend on them
        self.only = None if varies or self._is_missing else self._fixed(model.name or "")

    def of(self, ex: Exchange, members: Members | None) -> Destination:
        """The destination for this request; `None` for members: it does not tell a model.

        Raises `Refusal` if a model or something else is missing.
        """
        if self.only is not None:
            return self.only
        if self._is_missing:
            raise Refusal(_NO_LOCAL_MODEL, 503)
        told = {name: filled(text, ex) for name, text in self._templates.items()}
        cloud = {name: filled(text, ex) for name, text in self._cloud_templates.items()}
        model = self._model(ex, members)
        key = (model, *told.values(), *cloud.values())
        found = self._known.get(key)
        if found is None:
            try:
                found = self._at(model, self._options_with(told, cloud))
            except ValueError as error:
                raise Refusal(str(error)) from None
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            self._known[key] = found
        return found

    def _options_with(self, told: Mapping[str, str], cloud: Mapping[str, str]) -> Options:
        """The settings as a request fills them in."""
        values: dict[str, Any] = dict(told)
        if cloud:
            values["gemini"] = replace(self._options.gemini or Gemini(), **cloud)
        return replace(self._options, **values)

    def _url(self, options: Options) -> str | None:
        """Where the settings say that the model is."""
        if self._provider.name != azure.PROVIDER.name or options.azure_instance is None:
            return options.upstream_url
        completions = self._route_type == "llm/v1/completions"
        operation = options.upstream_path or ("completions" if completions else "chat/completions")
        deployment = options.azure_deployment_id or ""
        return options.upstream_url or azure.deployment_url(options.azure_instance, deployment, operation)

    def _model(self, ex: Exchange, members: Members | None) -> str:
        if self._settings.name is not None:
            return filled(self._settings.name, ex)
        if members is None:
            return ""
        asked = text_of(members.get("model"))
        if asked is None:
            raise Refusal(_NO_MODEL)
        return asked

    def _fixed(self, model: str) -> Destination | None:
        """`None` for what is no address: each request is told so."""
        try:
            return self._at(model, self._options)
        except ValueError:
            return None

    def _at(self, model: str, options: Options) -> Destination:
        endpoint = endpoint_of(
            self._provider,
            self._form,
            self._route_type,
            model=model,
            upstream_url=self._url(options),
            upstream_path=options.upstream_path,
            local=self._local,
            google_cloud=options.gemini,
            region=self._region,
        )
        if self._provider.name == azure.PROVIDER.name and options.azure_instance is not None:
            endpoint = replace(endpoint, usual_argument=(azure.VERSION, options.azure_api_version))
        provider, named = self._settings.provider, printable(model)
        shown = f"X-Kong-LLM-Model: {printable(f'{provider}/{model}')}\r\n"
        who = f"X-Tollhouse-Provider: {provider}\r\nX-Tollhouse-Model: {named}\r\n"
        encoded = msgspec.Raw(msgspec.json.encode(model))
        return Destination(endpoint, model, encoded, shown, who)

    def check_model(self, members: Members, destination: Destination) -> None:
        """A client may name the model only if it is the configured one. Raises `Refusal`."""
        given = members.get("model")
        if given is None or self._settings.name is None:
            return
        if given == destination.model_json or given == NULL:
            return
        if text_of(given) != destination.model:
            raise Refusal(f"cannot use own model - must be: {destination.model}")
