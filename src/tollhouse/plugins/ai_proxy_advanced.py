"""ai-proxy-advanced: several models in place of one; another is asked when one fails.

An attempt that fails before the first content of its answer has reached the client leaves no trace there.
Later failures end the answer with an error event in the client's form. State of targets is each worker's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from msgspec.structs import replace

from tollhouse.llm import settings
from tollhouse.llm.endpoint import Unserved, served
from tollhouse.llm.limits import Limits, Price
from tollhouse.llm.once import Firsts
from tollhouse.llm.provider import FormName
from tollhouse.llm.targets.balanced import Balanced, Counted, Entry, LatencyStrategy, Rules
from tollhouse.llm.targets.choice import Algorithm, chooser
from tollhouse.llm.targets.failures import Criterion
from tollhouse.llm.targets.target import Breaker, Target
from tollhouse.model.checks import Custom
from tollhouse.pdk import Patience, Plugin, setting

#: largest time in ms that Kong takes
_MOST_MS: Final = 2147483646
_LATER: Final = "needs embeddings and a vector store, which this version of Tollhouse does not have"
#: calls that may be made twice: they make an answer and nothing else
_REPEATABLE: Final = frozenset({"llm/v1/chat", "llm/v1/completions", "llm/v1/responses"})
RouteType = Literal["llm/v1/chat", "llm/v1/completions", "llm/v1/responses", "preserve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    algorithm: Algorithm = setting("round-robin", required=False, doc="How a target is chosen.")
    retries: int = setting(
        5, required=False, between=(0, 32767), doc="Attempts beyond the first, each on another target."
    )
    failover_criteria: tuple[Criterion, ...] = setting(
        ("error", "timeout"), required=False, doc="What makes another target be asked."
    )
    connect_timeout: int = setting(
        60_000, required=False, between=(1, _MOST_MS), unit="ms", doc="To connect to a target."
    )
    read_timeout: int = setting(
        60_000,
        required=False,
        between=(1, _MOST_MS),
        unit="ms",
        doc="Until an answer begins, and from one piece of it to the next, where `limits` say nothing. The "
        "default leaves 300 s until it begins.",
    )
    write_timeout: int = setting(
        60_000, required=False, between=(1, _MOST_MS), unit="ms", doc="From one write to the next."
    )
    max_fails: int = setting(
        0,
        required=False,
        between=(0, 32767),
        doc="After so many failures a target is asked no longer for `fail_timeout`; 0: never.",
    )
    fail_timeout: int = setting(
        10_000, required=False, between=(1, _MOST_MS), unit="ms", doc="How long; then one try decides."
    )
    hash_on_header: str = setting(
        "X-Kong-LLM-Request-ID", required=False, doc="What consistent hashing hashes; without it at random."
    )
    slots: int = setting(
        10_000, required=False, between=(10, 65536), doc="Places on the ring of consistent hashing."
    )
    tokens_count_strategy: Counted = setting(
        "total-tokens", required=False, doc="What `lowest-usage` compares."
    )
    latency_strategy: LatencyStrategy = setting(
        "tpot", required=False, doc="What `lowest-latency` compares: time per token, or of the whole."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """A model, settled as in `ai-proxy`."""

    route_type: RouteType = setting(required=True, doc="What requests are; one type for all targets.")
    auth: settings.Auth | None = setting(None, required=False, doc="The provider's key.")
    model: settings.Model = setting(required=True, doc="Which model, and where.")
    logging: settings.Logging = setting(
        settings.Logging, required=True, doc="What log and metrics plugins may know."
    )
    weight: int = setting(
        100, required=False, between=(1, 65535), doc="Its share of requests, or its priority."
    )
    description: str | None = setting(None, required=False, doc="Told in log records.")
    metadata: Mapping[str, str] | None = setting(None, required=False, doc="Told in log records.")

    CHECKS = settings.CHECKS


def _wrong(config: Mapping[str, Any]) -> str | None:
    """What is wrong with a configuration that satisfies all other checks."""
    balancer, targets = config["balancer"], config["targets"]
    if balancer["algorithm"] == "semantic":
        return f"balancer.algorithm 'semantic' {_LATER}"
    if balancer["tokens_count_strategy"] == "llm-accuracy":
        return "balancer.tokens_count_strategy 'llm-accuracy' needs ai-llm-as-judge, which is not here yet"
    if len({target["route_type"] for target in targets}) > 1:
        return "all targets must have the same route_type"
    for place, target in enumerate(targets, 1):
        model, options = target["model"], target["model"]["options"] or {}
        try:
            served(
                model["provider"],
                route_type=target["route_type"],
                server_format=options.get(f"{model['provider']}_format"),
                upstream_url=options.get("upstream_url"),
                deployed=options.get("azure_instance") is not None,
                client=settings.client_form(config["llm_format"], target["route_type"]),
            )
        except Unserved as reason:
            return f"targets[{place}]: {reason}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    targets: tuple[TargetConfig, ...] = setting(
        required=True, len_min=1, doc="The models, in the order in which equals are asked."
    )
    balancer: Balancer = setting(Balancer, required=True, doc="Which of them is asked, and when another.")
    response_streaming: Literal["allow", "deny", "always"] = setting(
        "allow", required=False, doc="Whether answers may, may not or must be streamed."
    )
    max_request_body_size: int = setting(
        1_048_576, required=False, gt=0, unit="B", doc="Largest request that is read."
    )
    model_name_header: bool = setting(True, required=False, doc="Tell clients the model in X-Kong-LLM-Model.")
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

    CHECKS = (Custom(_wrong),)


@dataclass(frozen=True, slots=True)
class _Terms:
    """A target's settings beside those of all."""

    conf: Config
    target: TargetConfig

    @property
    def client_form(self) -> FormName:
        return settings.client_form(self.conf.llm_format, self.target.route_type)

    @property
    def route_type(self) -> settings.RouteType:
        return self.target.route_type

    @property
    def auth(self) -> settings.Auth | None:
        return self.target.auth

    @property
    def model(self) -> settings.Model:
        return self.target.model

    @property
    def logging(self) -> settings.Logging:
        return self.target.logging

    @property
    def response_streaming(self) -> Literal["allow", "deny", "always"]:
        return self.conf.response_streaming

    @property
    def max_request_body_size(self) -> int:
        return self.conf.max_request_body_size

    @property
    def model_name_header(self) -> bool:
        return self.conf.model_name_header

    @property
    def drop_unsupported(self) -> bool:
        return self.conf.drop_unsupported

    @property
    def limits(self) -> Limits:
        return self.conf.limits

    @property
    def prices(self) -> tuple[Price, ...] | None:
        return self.conf.prices


class AiProxyAdvanced(Plugin[Config]):
    name = "ai-proxy-advanced"
    priority = 770
    Config = Config
    looks_at_answer = False

    def prepare(self) -> None:
        conf = self.conf
        # Whatever may be sent twice must be read whole.
        self.request_body_limit = conf.max_request_body_size
        ttl = conf.limits.idempotency_ttl
        firsts = Firsts(ttl, self.id, self.services.claims) if ttl else None
        entries = [self._entry(place, target, firsts) for place, target in enumerate(conf.targets)]
        models = Balanced(entries, self._rules([entry.target for entry in entries]), self.services)
        self.access = models.access
        self.header_filter = models.header_filter
        self.body_filter = models.body_filter
        self.own_answer = models.own_answer
        self.log = models.log

    def _entry(self, place: int, conf: TargetConfig, firsts: Firsts | None) -> Entry:
        balancer, model = self.conf.balancer, conf.model
        url = model.options.upstream_url if model.options is not None else None
        label = f"{model.provider}/{model.name}@{url}"
        alike = sum(other.model == model for other in self.conf.targets[:place])
        target = Target(
            place,
            f"{label}#{alike}",
            conf.weight,
            Breaker(balancer.max_fails, balancer.fail_timeout / 1000),
        )
        shown: dict[str, Any] = {
            "provider": model.provider,
            "model": model.name or "",
            "route_type": conf.route_type,
        }
        if conf.description is not None:
            shown["description"] = conf.description
        if conf.metadata:
            shown["metadata"] = dict(conf.metadata)
        return Entry(_Terms(self.conf, conf), self.services, self.id, firsts, target=target, shown=shown)

    def _rules(self, targets: list[Target]) -> Rules:
        balancer = self.conf.balancer
        criteria = frozenset(balancer.failover_criteria)
        route_type = self.conf.targets[0].route_type
        return Rules(
            choose=chooser(balancer.algorithm, targets, balancer.slots),
            criteria=criteria,
            retries=balancer.retries,
            hash_on_header=balancer.hash_on_header.lower(),
            counted=balancer.tokens_count_strategy,
            latency=balancer.latency_strategy,
            patience=self._patience(),
            repeatable=route_type in _REPEATABLE or "non_idempotent" in criteria,
        )

    def _patience(self) -> Patience:
        balancer, patience = self.conf.balancer, self.conf.limits.patience
        first, gap, total = patience.with_read(balancer.read_timeout / 1000)
        return replace(
            patience,
            first=first,
            gap=gap,
            total=total,
            connect=patience.connect or balancer.connect_timeout / 1000,
            write=balancer.write_timeout / 1000,
            retries=0,
        )
