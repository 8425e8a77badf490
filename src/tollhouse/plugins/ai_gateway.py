"""ai-gateway: one route to the models of several providers; a request's model decides who is asked.

Tollhouse's own; `tollhouse start` without a file serves it. Clients speak the form that their SDK speaks,
known by the path: OpenAI's, Anthropic's, Google's, Bedrock's, Cohere's or Ollama's, for chats, embeddings,
reranking and whatever else the provider has; errors are in that form, too. `GET …/models` lists what is
there. What clients send as a key stays here: put an authentication plugin before it where not everybody who
reaches the gateway may spend money.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

import msgspec

from tollhouse.llm import listing, settings
from tollhouse.llm.catalog import listed, provider_for
from tollhouse.llm.chat import Trouble
from tollhouse.llm.counting import counted_tokens
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.endpoint import Unserved, served
from tollhouse.llm.form import Problem, Refusal
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.limits import Limits, Price
from tollhouse.llm.on_vertex import anthropics_body, anthropics_name
from tollhouse.llm.once import Firsts
from tollhouse.llm.operations.access import Operations, model_asked_for
from tollhouse.llm.operations.upstream import UpstreamOperation
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.providers.anthropic import PROVIDER as ANTHROPIC
from tollhouse.llm.recognise import Asked, recognised
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.model.checks import Custom
from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, Reject, setting

_MODELS: Final = "/models"
_BODY_BYTES: Final = 64 * 1024 * 1024
_NAMES_KNOWN: Final = 4096
_NO_MODEL: Final = "you must provide a model parameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A provider and how to get in."""

    name: settings.ProviderName = setting(required=True, doc="Who serves the models.")
    key: str | None = setting(
        None, required=False, referenceable=True, encrypted=True, doc="The provider's key."
    )
    base_url: str | None = setting(
        None,
        required=False,
        validator=url,
        doc="Its address in place of the usual, without /v1.",
    )

    @property
    def chat_url(self) -> str | None:
        """Where chats go; `None` for the embedded model, and for who has no address."""
        provider = PROVIDERS.get(self.name)
        return None if provider is None else self.url_of(provider.chat_path)

    def url_of(self, path: str) -> str | None:
        """Where the provider has that path."""
        provider = PROVIDERS.get(self.name)
        base = self.base_url or (provider.base_url if provider is not None else None)
        return None if base is None else base.rstrip("/") + path


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    providers: tuple[Access, ...] = setting(
        required=True, len_min=1, doc="Who may be asked; the first by default."
    )
    logging: settings.Logging = setting(
        settings.Logging, required=True, doc="What log and metrics plugins may know."
    )
    max_request_body_size: int = setting(
        _BODY_BYTES, gt=0, unit="B", doc="Largest request that is read; pictures are large."
    )
    drop_unsupported: bool = setting(
        False,
        required=False,
        doc="Leave out what a model's provider cannot express, and tell so in X-Tollhouse-Dropped, in place "
        "of refusing it.",
    )
    limits: Limits = setting(Limits, required=True, doc="How long calls may take.")
    prices: tuple[Price, ...] | None = setting(
        None, required=False, doc="What models cost, before the catalogue."
    )

    CHECKS = (Custom(lambda config: _unserved(config["providers"])),)


def _unserved(providers: Sequence[Mapping[str, Any]]) -> str | None:
    for given in providers:
        access = Access(name=given["name"], base_url=given.get("base_url"))
        try:
            served(access.name, route_type=forward.CHAT, server_format=None, upstream_url=access.chat_url)
        except Unserved as reason:
            return str(reason)
    return None


@dataclass(frozen=True, slots=True)
class _Terms:
    """A provider's access, as `UpstreamModel` wants to know it."""

    client_form: FormName
    model: settings.Model
    auth: settings.Auth | None
    logging: settings.Logging
    max_request_body_size: int
    limits: Limits
    prices: tuple[Price, ...] | None
    drop_unsupported: bool
    route_type: settings.RouteType = "llm/v1/chat"
    response_streaming: Literal["allow", "deny", "always"] = "allow"
    model_name_header: bool = True


class _Chosen(msgspec.Struct):
    form: FormName = "openai_chat"
    model: UpstreamModel | UpstreamOperation | None = None


class AiGateway(Plugin[Config]):
    name = "ai-gateway"
    priority = 770
    Config = Config
    looks_at_answer = False

    def prepare(self) -> None:
        self.request_body_limit = self.conf.max_request_body_size
        self._accesses = {str(access.name): access for access in self.conf.providers}
        ttl = self.conf.limits.idempotency_ttl
        self._firsts = Firsts(ttl, self.id, self.services.claims) if ttl else None
        self._upstreams: dict[tuple[str, FormName], UpstreamModel] = {}
        for name in self._accesses:
            self._upstream(name, "openai_chat")
        self._providers: dict[str, tuple[str, str]] = {}
        self._operations = Operations(self._terms_at, self.services, self.id)
        keepers = (name for name in self._accesses if PROVIDERS[name].form == "openai_chat")
        self._keeper_of_files = next(keepers, "")

    def _upstream(self, name: str, form: FormName) -> UpstreamModel:
        """The provider, for clients of that form."""
        found = self._upstreams.get((name, form))
        if found is None:
            terms = self._terms_at(name, form, PROVIDERS[name].path_for(form))
            found = self._upstreams[name, form] = UpstreamModel(terms, self.services, self.id, self._firsts)
        return found

    def _terms_at(self, name: str, form: FormName, path: str) -> _Terms:
        access, provider, auth = self._accesses[name], PROVIDERS[name], None
        if access.key and provider.key is not None:
            header, value = provider.key(access.key)
            auth = settings.Auth(header_name=header, header_value=value)
        options = settings.Options(upstream_url=access.url_of(path))
        model = settings.Model(provider=access.name, options=options)
        conf = self.conf
        return _Terms(
            *(form, model, auth, conf.logging, conf.max_request_body_size),
            limits=conf.limits,
            prices=conf.prices,
            drop_unsupported=conf.drop_unsupported,
        )

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        asked = recognised(ex.request.path)
        if asked is None:
            text = f"nothing is at {ex.request.path}; this gateway serves chats and {_MODELS}"
            raise _error("openai_chat", "not_found", text, "unknown_url")
        chosen = ex.slot(_Chosen)
        chosen.form = asked.form
        if asked.on_vertex:
            asked = self._as_anthropics(ex, asked)
        if asked.operation == "chat":
            return self._call(ex, asked, chosen)
        if asked.operation == "models":
            self._tell_models(ex, asked)
        try:
            return self._operate(ex, asked, chosen)
        except Refusal as refusal:
            trouble: Trouble = "not_found" if refusal.status == 404 else "invalid_request"
            raise _error(asked.form, trouble, refusal.message, status=refusal.status) from None

    def _as_anthropics(self, ex: Exchange, asked: Asked) -> Asked:
        """The request as one of Anthropic's own API."""
        try:
            ex.request.replace_content(anthropics_body(ex.request.content or b"", asked.told))
        except Refusal as refusal:
            raise _error(asked.form, "invalid_request", refusal.message) from None
        return Asked(asked.form, asked.operation)

    def _tell_models(self, ex: Exchange, asked: Asked) -> NoReturn:
        form = listing.asking_form(asked.form, ex.request.headers.values)
        models = {name: listing.Entry(name, whose) for name, whose in listed(tuple(self._accesses))}
        if not asked.model:
            raise Reject(200, body=listing.all_of(form, list(models.values())), exact=True)
        if asked.model not in models:
            text = f"The model '{asked.model}' does not exist"
            raise _error(form, "not_found", text, "model_not_found")
        raise Reject(200, body=listing.one(form, models[asked.model]), exact=True)

    def _operate(self, ex: Exchange, asked: Asked, chosen: "_Chosen") -> Awaitable[None] | None:
        """Everything that is no chat. Raises `Refusal`."""
        request = ex.request
        if asked.operation == "files":
            if not self._keeper_of_files:
                raise Refusal("no provider here keeps files", 404)
            chosen.model = files = self._operations.of(self._keeper_of_files, asked)
            return files.access(ex, asked)
        if request.method != "POST":
            raise Refusal(f"Only POST requests are accepted at {request.path}", 405)
        name = model_asked_for(request, asked, self.conf.max_request_body_size)
        provider, model = self._provider_for(name)
        if asked.operation == "count_tokens" and PROVIDERS[provider].form != asked.form:
            self._count(ex, asked)
        if request.target.query is not None:
            ex.upstream_target = request.path  # whatever stands in the query, no provider needs it
        chosen.model = operation = self._operations.of(provider, asked)
        return operation.access(ex, asked, model)

    def _count(self, ex: Exchange, asked: Asked) -> NoReturn:
        """An estimate: the providers' tokenizers are theirs."""
        try:
            counted = counted_tokens(asked.form, ex.request.content or b"", asked.told)
        except Refusal as refusal:
            raise _error(asked.form, "invalid_request", refusal.message) from None
        raise Reject(200, body=counted, exact=True)

    def _call(self, ex: Exchange, asked: Asked, chosen: "_Chosen") -> Awaitable[None] | None:
        request = ex.request
        if request.method != "POST":
            text = f"Only POST requests are accepted at {request.path}"
            raise _error(asked.form, "invalid_request", text, "method_not_supported", 405)
        try:
            members = forward.members_of(request.content or b"")
        except Refusal as refusal:
            raise _error(asked.form, "invalid_request", refusal.message) from None
        name = asked.told.model or forward.text_of(members.get("model"))
        if not name:
            raise _error(asked.form, "invalid_request", _NO_MODEL)
        provider, model = self._provider_for(name)
        if model != name and not asked.told.model:
            members["model"] = msgspec.Raw(msgspec.json.encode(model))
            request.replace_content(forward.body_of(members))
        if request.target.query is not None:
            ex.upstream_target = request.path  # whatever stands in the query, no provider needs it
        chosen.model = self._upstream(provider, asked.form)
        return chosen.model.access(ex)

    def _provider_for(self, model: str) -> tuple[str, str]:
        found = self._providers.get(model)
        if found is None:
            if len(self._providers) >= _NAMES_KNOWN:
                self._providers.clear()
            provider, name = provider_for(model, self._accesses)
            if provider == ANTHROPIC.name:
                name = anthropics_name(name)
            found = self._providers[model] = provider, name
        return found

    def own_answer(self, ex: Exchange) -> None:
        """Errors, also of other plugins, in the form that the client speaks by its path."""
        asked = recognised(ex.request.path)
        if ex.response is not None and asked is not None and not ex.response.from_upstream:
            self._upstream(next(iter(self._accesses)), asked.form).own_answer(ex)

    def header_filter(self, ex: Exchange) -> None:
        if (model := _chosen(ex)) is not None:
            model.header_filter(ex)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        model = _chosen(ex)
        return chunk if model is None else model.body_filter(ex, chunk, last)

    def log(self, ex: Exchange) -> None:
        if (model := _chosen(ex)) is not None:
            model.log(ex)


def _chosen(ex: Exchange) -> UpstreamModel | UpstreamOperation | None:
    chosen = ex.peek(_Chosen)
    return None if chosen is None else chosen.model


def _error(form: FormName, trouble: Trouble, text: str, code: str | None = None, status: int = 0) -> Reject:
    """An error in the envelope of the client's form."""
    answer = FORMS[form].encode_error(Problem(trouble, text, code=code))
    headers = {"Content-Type": "application/json", **answer.headers}
    return Reject(status or answer.status, body=answer.body.decode(), headers=headers)
