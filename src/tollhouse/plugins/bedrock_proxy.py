"""bedrock-proxy: models on Amazon Bedrock, by role: which of them, and how many tokens a minute.

Tollhouse's own: `ai-proxy` for the provider bedrock. A caller's role is the consumer group of that name; who
is in none of them has the role `other`, if there is one. Where no roles are configured everybody may use all.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from tollhouse.llm import settings
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.limits import Limits, Price
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers.bedrock import PROVIDER
from tollhouse.llm.recognise import recognised
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, Reject, Window, setting
from tollhouse.pdk.usage import Metered
from tollhouse.pdk.windows import SECONDS, reset_after, start_of

_OTHER: Final = "other"
_WILD: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What the members of a consumer group may do."""

    models: tuple[str, ...] = setting(
        required=True,
        len_min=1,
        doc="Models, `*` for any part of a name; the first one for requests that name none.",
    )
    tokens_per_minute: int | None = setting(
        None, required=False, gt=0, doc="Tokens that a consumer may use in a minute; null: any number."
    )

    def allows(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    @property
    def usual_model(self) -> str | None:
        """The model of requests that name none; `None` if the first is a pattern."""
        first = self.models[0]
        return None if _WILD & {*first} else first


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    region: str | None = setting(
        None, required=False, doc="Region of AWS; without it the environment's, else us-east-1."
    )
    roles: Mapping[str, Role] | None = setting(
        None, required=False, doc="What each consumer group may do; `other` is for everybody else."
    )
    auth: settings.Auth | None = setting(
        None, required=False, doc="Keys of AWS; without them those that its SDKs find."
    )
    base_url: str | None = setting(
        None, required=False, validator=url, doc="Address in place of Bedrock's own."
    )
    logging: settings.Logging = setting(
        settings.Logging, required=True, doc="What log and metrics plugins may know."
    )
    response_streaming: Literal["allow", "deny", "always"] = setting(
        "allow", required=False, doc="Whether answers may, may not or must be streamed."
    )
    max_request_body_size: int = setting(
        8 * 1024 * 1024, required=False, gt=0, unit="B", doc="Largest request that is read."
    )
    model_name_header: bool = setting(True, required=False, doc="Tell clients the model in X-Kong-LLM-Model.")
    llm_format: settings.ClientFormat = setting("openai", required=False, doc="The form that clients speak.")
    drop_unsupported: bool = setting(
        False,
        required=False,
        doc="Leave out what a model cannot express, and tell so in X-Tollhouse-Dropped, in place of "
        "refusing it.",
    )
    limits: Limits = setting(Limits, required=True, doc="How long calls may take.")
    prices: tuple[Price, ...] | None = setting(
        None, required=False, doc="What models cost, before the catalogue."
    )

    @property
    def route_type(self) -> settings.RouteType:
        return "llm/v1/chat"

    @property
    def client_form(self) -> FormName:
        return settings.client_form(self.llm_format, self.route_type)

    @property
    def model(self) -> settings.Model:
        """The client, or its role, says which."""
        address = None if self.base_url is None else self.base_url.rstrip("/") + PROVIDER.chat_path
        options = settings.Options(upstream_url=address, bedrock=settings.Bedrock(aws_region=self.region))
        return settings.Model(provider="bedrock", options=options)


class _Caller(msgspec.Struct):
    """Who calls, for the budget."""

    role: str = ""
    budget: Window | None = None


class BedrockProxy(Plugin[Config]):
    name = "bedrock-proxy"
    priority = 770
    Config = Config
    looks_at_answer = False

    def prepare(self) -> None:
        self._model = model = UpstreamModel(self.conf, self.services, self.id)
        form = FORMS[self.conf.client_form]
        self._envelope = Envelope(form, form, kongs=self.conf.client_form == "openai_chat")
        self.request_body_limit = model.request_body_limit
        self.header_filter = model.header_filter
        self.body_filter = model.body_filter
        self.own_answer = model.own_answer

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        if self.conf.roles:
            try:
                name, role = self._role(ex, self.conf.roles)
                self._choose_model(ex, name, role)
            except Refusal as refusal:
                raise self._envelope.reject(refusal) from None
            self._check_budget(ex, name, role)
        return self._model.access(ex)

    def _role(self, ex: Exchange, roles: Mapping[str, Role]) -> tuple[str, Role]:
        groups = () if ex.consumer is None else self.services.directory.consumer_groups(ex.consumer.id)
        for group in groups:
            if group.name in roles:
                return group.name, roles[group.name]
        if _OTHER not in roles:
            raise Refusal("no role allows this caller to use a model", 403)
        return _OTHER, roles[_OTHER]

    def _choose_model(self, ex: Exchange, name: str, role: Role) -> None:
        """Puts the role's model where the client names none. Raises `Refusal` for one that is not allowed."""
        request = ex.request
        asked = recognised(request.path)
        if asked is not None and asked.told.model and asked.form == self.conf.client_form:
            model: str | None = asked.told.model
        else:
            members = forward.members_of(request.content or b"")
            model = forward.text_of(members.get("model"))
            if not model and role.usual_model is not None:
                model = role.usual_model
                members["model"] = msgspec.Raw(msgspec.json.encode(model))
                request.replace_content(forward.body_of(members))
        if model and not role.allows(model):
            raise Refusal(f"model: the role '{name}' may not use '{model}'", 403)

    def _check_budget(self, ex: Exchange, name: str, role: Role) -> None:
        caller = ex.slot(_Caller)
        caller.role = name
        if role.tokens_per_minute is None:
            return
        now = self.services.wall_clock()
        start = start_of("minute", now)
        who = ex.consumer.id if ex.consumer is not None else ex.client_ip
        key = f"bedrock-proxy:{self.id}:{name}:{who}"
        caller.budget = budget = Window(key, start, SECONDS["minute"], role.tokens_per_minute)
        if self.services.counters.read(budget) < role.tokens_per_minute:
            return
        told = f"the role '{name}' has used its {role.tokens_per_minute} tokens of this minute"
        refused = self._envelope.reject(Refusal(told, 429))
        headers = {**(refused.headers or {}), "Retry-After": str(reset_after("minute", start, now))}
        raise Reject(refused.status, body=refused.body, headers=headers)

    def log(self, ex: Exchange) -> None:
        self._model.log(ex)
        caller, metered = ex.peek(_Caller), ex.peek(Metered)
        if caller is None or metered is None:
            return
        metered.role = caller.role
        if caller.budget is not None and metered.usage.total_tokens:
            # As with every limit on tokens, the call that crosses it has passed.
            self.services.counters.add(caller.budget, metered.usage.total_tokens)
