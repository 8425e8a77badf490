"""ai-proxy: calls a model in place of the service, under Kong's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tollhouse.llm import settings
from tollhouse.llm.endpoint import Unserved, served
from tollhouse.llm.limits import Limits, Price
from tollhouse.llm.operations.choice import place_for
from tollhouse.llm.operations.places import ROUTE_OPERATIONS
from tollhouse.llm.operations.route import COUNTING_FORMS, CountingUpstream, RouteUpstream, asked_on
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.templates import is_template
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.model.checks import Conditional, Custom
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.services import Services


def _is_served(config: Mapping[str, Any]) -> str | None:
    """What is wrong with a configuration that satisfies Kong's own checks."""
    model = config["model"]
    name, options = model["provider"], model["options"] or {}
    if config["route_type"] in ROUTE_OPERATIONS:
        return _has_operation(config)
    region = (options.get("bedrock") or {}).get("aws_region")
    if is_template(region):
        return f"model.options.bedrock.aws_region cannot depend on the request: {region}"
    try:
        served(
            name,
            route_type=config["route_type"],
            server_format=options.get(f"{name}_format"),
            upstream_url=options.get("upstream_url"),
            deployed=options.get("azure_instance") is not None,
            client=settings.client_form(config["llm_format"], config["route_type"]),
        )
    except Unserved as reason:
        return str(reason)
    return None


def _has_operation(config: Mapping[str, Any]) -> str | None:
    model = config["model"]
    given = model["options"] or {}
    options = settings.Options(
        upstream_url=given.get("upstream_url"), azure_instance=given.get("azure_instance")
    )
    form = settings.client_form(config["llm_format"], config["route_type"])
    ollama = given.get(f"{model['provider']}_format") == "ollama"
    try:
        place_for(
            PROVIDERS[model["provider"]], asked_on(config["route_type"], form), options, speaks_ollama=ollama
        )
    except Unserved as reason:
        return str(reason)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    route_type: settings.RouteType = setting(
        required=True, doc="What requests are: chats, embeddings, …, or anything (`preserve`)."
    )
    auth: settings.Auth | None = setting(None, required=False, doc="The provider's key.")
    model: settings.Model = setting(required=True, doc="Which model, and where.")
    logging: settings.Logging = setting(
        settings.Logging, required=True, doc="What log and metrics plugins may know."
    )
    response_streaming: Literal["allow", "deny", "always"] = setting(
        "allow", required=False, doc="Whether answers may, may not or must be streamed."
    )
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is read; the default stands for 1 MiB."
    )
    model_name_header: bool = setting(True, doc="Tell clients the model in X-Kong-LLM-Model.")
    llm_format: settings.ClientFormat = setting("openai", required=False, doc="The form that clients speak.")
    drop_unsupported: bool = setting(
        False,
        required=False,
        doc="Leave out what a model's provider cannot express, and tell so in X-Tollhouse-Dropped, in place "
        "of refusing it.",
    )
    limits: Limits = setting(Limits, required=True, doc="How long calls may take.")
    prices: tuple[Price, ...] | None = setting(
        None, required=False, doc="What models cost, before `model.options` and the catalogue."
    )

    CHECKS = (
        *settings.CHECKS,
        settings.STATISTICS,
        Conditional(
            "config.llm_format",
            {"one_of": ("bedrock", "gemini")},
            "config.route_type",
            {"one_of": ("llm/v1/chat", *ROUTE_OPERATIONS)},
            "native provider options in llm_format can only be used with the 'llm/v1/chat' route_type",
        ),
        Custom(_is_served),
    )

    @property
    def client_form(self) -> FormName:
        return settings.client_form(self.llm_format, self.route_type)


class AiProxy(Plugin[Config]):
    name = "ai-proxy"
    priority = 770
    Config = Config
    looks_at_answer = False

    def prepare(self) -> None:
        model = _upstream(self.conf, self.services, self.id)
        self.request_body_limit = model.request_body_limit
        self.access = model.access
        # With a `response` phase streams would be held back; a whole body is known here as well.
        self.header_filter = model.header_filter
        self.body_filter = model.body_filter
        self.own_answer = model.own_answer
        self.log = model.log


def _upstream(conf: Config, services: Services, plugin_id: str) -> UpstreamModel | RouteUpstream:
    if conf.route_type in ROUTE_OPERATIONS:
        return RouteUpstream(conf, services, plugin_id)
    if conf.route_type == "llm/v1/chat" and conf.client_form in COUNTING_FORMS:
        return CountingUpstream(conf, services, plugin_id)
    return UpstreamModel(conf, services, plugin_id)
