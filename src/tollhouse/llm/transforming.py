"""What the plugins that let a model rewrite requests and answers have in common: settings, and the asking."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import re2  # type: ignore[import-untyped]

from tollhouse.llm import prompts, settings
from tollhouse.llm.endpoint import Unserved, served
from tollhouse.llm.own_call import CallFailed, OwnModel, OwnTerms
from tollhouse.llm.templates import is_template
from tollhouse.model.checks import Conditional, Custom, MutuallyRequired
from tollhouse.model.regex import compiled, problem, translated
from tollhouse.pdk import Exchange, Reject, setting
from tollhouse.pdk.services import Services

#: Kong looks for it in all lines, whatever the case of its letters
_FLAGS: Final = "(?im)"
_NO_MATCH: Final = "AI response did not match specified regular expression"


def _is_served(llm: Mapping[str, Any]) -> str | None:
    model = llm["model"]
    name, options = model["provider"], model["options"] or {}
    texts = {"model.name": model["name"], "model.options.upstream_url": options.get("upstream_url")}
    texts["model.options.upstream_path"] = options.get("upstream_path")
    for place, text in texts.items():
        if is_template(text):
            return f"{place} cannot depend on the request here: {text}"
    if model["name"] is None and name != "local":
        return "model.name is needed: there is no client here that could choose one"
    try:
        served(
            name,
            route_type="llm/v1/chat",
            server_format=options.get(f"{name}_format"),
            upstream_url=options.get("upstream_url"),
            deployed=options.get("azure_instance") is not None,
            client="openai_chat",
        )
    except Unserved as reason:
        return str(reason)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Llm:
    route_type: Literal["llm/v1/chat", "llm/v1/completions", "preserve"] = setting(
        required=True, doc="What the model is asked for; `llm/v1/chat` alone is possible."
    )
    auth: settings.Auth | None = setting(None, required=False, doc="The provider's key.")
    model: settings.Model = setting(required=True, doc="Which model, and where.")
    logging: settings.Logging = setting(
        settings.Logging, required=True, doc="What log and metrics plugins may know."
    )

    CHECKS = (*settings.CHECKS, settings.STATISTICS, Custom(_is_served))


def _no_proxy(config: Mapping[str, Any]) -> str | None:
    """A host alone is told from a whole address by Kong's own checks."""
    for scheme in ("http", "https"):
        host, port = config[f"{scheme}_proxy_host"], config[f"{scheme}_proxy_port"]
        if host is not None and port is not None:
            return f"calls of models through a proxy are not supported: {host}"
    return None


def pattern_problem(text: str) -> str | None:
    """Validates a regular expression."""
    wrong = problem(text)
    return wrong and f"not a valid regex: {text} ({wrong})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transforming:
    """The settings of both plugins."""

    prompt: str = setting(required=True, doc="What the model is told to do with a body.")
    transformation_extract_pattern: str | None = setting(
        None,
        required=False,
        validator=pattern_problem,
        doc="Regular expression for the part of the model's answer that is taken; without it all of it is.",
    )
    http_timeout: int = setting(60000, required=True, gt=0, unit="ms", doc="How long the model may take.")
    https_verify: bool = setting(True, required=True, doc="Check the certificate of the model's server.")
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is taken; the default stands for 1 MiB."
    )
    http_proxy_host: str | None = setting(None, doc="Refused: models are called directly.")
    http_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `http_proxy_host`.")
    https_proxy_host: str | None = setting(None, doc="Refused: models are called directly.")
    https_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `https_proxy_host`.")
    llm: Llm = setting(required=True, doc="The model, as `ai-proxy` is told of one.")

    # Kong's checks, and what is refused because it would have no effect.
    CHECKS = (
        Conditional(
            "config.llm.route_type",
            {"not_one_of": ("llm/v1/chat",)},
            "config.llm.route_type",
            {"eq": "llm/v1/chat"},
            "'config.llm.route_type' must be 'llm/v1/chat' for AI transformer plugins",
        ),
        MutuallyRequired("config.http_proxy_host", "config.http_proxy_port"),
        MutuallyRequired("config.https_proxy_host", "config.https_proxy_port"),
        Custom(_no_proxy),
    )


class Rewriter:
    """Asks a model to rewrite a text, and takes of its answer what a pattern finds."""

    def __init__(self, conf: Transforming, services: Services, *, name: str, plugin_id: str) -> None:
        """`name` is the plugin's, and what its calls are told to be for."""
        terms = OwnTerms(conf.llm.auth, conf.llm.model, conf.llm.logging)
        self._model = OwnModel(
            terms,
            services,
            purpose=name,
            plugin_id=plugin_id,
            timeout_ms=conf.http_timeout,
            verify=conf.https_verify,
        )
        self._prompt = conf.prompt
        pattern = conf.transformation_extract_pattern
        self._find = None if pattern is None else _finder(pattern)
        #: largest request that is taken, in bytes
        self.request_body_limit = prompts.body_limit(conf.max_request_body_size)

    def request_content(self, ex: Exchange) -> bytes:
        """The request's body. Raises `Reject` if it is too large."""
        content = ex.request.content
        if content is None or len(content) > self.request_body_limit:
            raise Reject(413, body={"error": {"message": "request body is too large"}})
        return content

    async def rewritten(self, ex: Exchange, text: bytes) -> str:
        """Raises `Reject` in Kong's words."""
        try:
            said = await self._model.ask(ex, self._prompt, text.decode("utf-8", "replace"))
        except CallFailed as failed:
            raise prompts.refused(str(failed)) from None
        if self._find is None:
            return said
        found = self._find(said)
        if found is None:
            raise prompts.refused(_NO_MATCH)
        return found[0]


class _Found(Protocol):
    def __getitem__(self, group: int) -> str: ...


def _finder(pattern: str) -> Callable[[str], _Found | None]:
    """RE2 takes time in proportion to a text's length whatever it is; only patterns that it does not know
    are Python's."""
    options = re2.Options()
    options.log_errors = False
    pattern = _FLAGS + pattern
    try:
        found: Callable[[str], _Found | None] = re2.compile(translated(pattern), options).search
    except re2.error:
        return compiled(pattern).search
    return found
