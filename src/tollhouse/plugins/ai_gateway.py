"""ai-gateway: one route to the models of several providers; a request's model decides who is asked.

Tollhouse's own; `tollhouse start` without a file serves it. It answers `POST …/chat/completions` and
`GET …/models`, in OpenAI's form and with OpenAI's errors. What clients send as a key stays here: put an
authentication plugin before it where not everybody who reaches the gateway may spend money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from tollhouse.llm import settings
from tollhouse.llm.catalog import models_of, provider_for
from tollhouse.llm.endpoint import Unserved, served
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.model.checks import Custom
from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, Reject, setting

_CHAT: Final = "/chat/completions"
_MODELS: Final = "/models"
_CLIENT_KEYS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
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
        base = self.base_url or (provider.base_url if provider is not None else None)
        return None if base is None or provider is None else base.rstrip("/") + provider.chat_path


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

    model: settings.Model
    auth: settings.Auth | None
    logging: settings.Logging
    max_request_body_size: int
    route_type: settings.RouteType = "llm/v1/chat"
    response_streaming: Literal["allow", "deny", "always"] = "allow"
    model_name_header: bool = True


class _Chosen(msgspec.Struct):
    model: UpstreamModel | None = None


class AiGateway(Plugin[Config]):
    name = "ai-gateway"
    priority = 770
    Config = Config
    looks_at_answer = False

    def prepare(self) -> None:
        self.request_body_limit = self.conf.max_request_body_size
        self._upstreams: dict[str, UpstreamModel] = {
            access.name: UpstreamModel(self._terms(access), self.services, self.id)
            for access in self.conf.providers
        }
        self._providers: dict[str, tuple[str, str]] = {}
        listed = [entry for name in self._upstreams for entry in self._listed(name)]
        self._models = {entry["id"]: entry for entry in listed}

    def _terms(self, access: Access) -> _Terms:
        provider, auth = PROVIDERS[access.name], None
        if access.key and provider.key is not None:
            name, value = provider.key(access.key)
            auth = settings.Auth(header_name=name, header_value=value)
        model = settings.Model(provider=access.name, options=settings.Options(upstream_url=access.chat_url))
        return _Terms(model, auth, self.conf.logging, self.conf.max_request_body_size)

    def _listed(self, name: str) -> list[dict[str, Any]]:
        """A provider's models, each under a name that leads back to it."""
        entries = []
        for model in models_of(PROVIDERS[name]):
            leads_here = self._provider_for(model) == (name, model)
            shown = model if leads_here else f"{name}/{model}"
            entries.append({"id": shown, "object": "model", "created": 0, "owned_by": name})
        return entries

    def access(self, ex: Exchange) -> None:
        path = ex.request.path
        if path.endswith(_CHAT):
            self._call(ex)
        elif path.endswith(_MODELS):
            raise Reject(200, body={"object": "list", "data": list(self._models.values())}, exact=True)
        else:
            self._tell(path)

    def _tell(self, path: str) -> None:
        """Answers for one model, or says what else there is."""
        _, found, name = path.partition(f"{_MODELS}/")
        if not found:
            text = f"nothing is at {path}; this gateway serves {_CHAT} and {_MODELS}"
            raise _error(404, text, "unknown_url")
        if name not in self._models:
            raise _error(404, f"The model '{name}' does not exist", "model_not_found")
        raise Reject(200, body=self._models[name], exact=True)

    def _call(self, ex: Exchange) -> None:
        request = ex.request
        if request.method != "POST":
            raise _error(405, f"Only POST requests are accepted at {request.path}", "method_not_supported")
        try:
            members = forward.members_of(request.content or b"")
        except Refusal as refusal:
            raise _error(refusal.status, refusal.message, None) from None
        asked = forward.text_of(members.get("model"))
        if not asked:
            raise _error(400, _NO_MODEL, None)
        provider, model = self._provider_for(asked)
        if model != asked:
            members["model"] = msgspec.Raw(msgspec.json.encode(model))
            request.replace_content(forward.body_of(members))
        for name in _CLIENT_KEYS:
            request.headers.remove(name)
        chosen = ex.slot(_Chosen).model = self._upstreams[provider]
        chosen.access(ex)

    def _provider_for(self, model: str) -> tuple[str, str]:
        found = self._providers.get(model)
        if found is None:
            if len(self._providers) >= _NAMES_KNOWN:
                self._providers.clear()
            found = self._providers[model] = provider_for(model, self._upstreams)
        return found

    def header_filter(self, ex: Exchange) -> None:
        if (model := _chosen(ex)) is not None:
            model.header_filter(ex)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        model = _chosen(ex)
        return chunk if model is None else model.body_filter(ex, chunk, last)

    def log(self, ex: Exchange) -> None:
        if (model := _chosen(ex)) is not None:
            model.log(ex)


def _chosen(ex: Exchange) -> UpstreamModel | None:
    chosen = ex.peek(_Chosen)
    return None if chosen is None else chosen.model


def _error(status: int, message: str, code: str | None) -> Reject:
    """An error in OpenAI's envelope. https://platform.openai.com/docs/guides/error-codes"""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Reject(status, body={"error": error})
