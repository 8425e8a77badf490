"""route-by-header: sends requests to another upstream by what their headers say."""

from dataclasses import dataclass

from tollhouse.pdk import Exchange, Plugin, item, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    condition: dict[str, str] = setting(
        required=True,
        len_min=1,
        keys=item(len_min=1),
        doc="Headers and their values, all of which have to be there.",
    )
    upstream_name: str = setting(required=True, doc="Name of an upstream, or a host.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    rules: tuple[Rule, ...] = setting((), doc="The first rule whose condition holds counts.")


class RouteByHeader(Plugin[Config]):
    name = "route-by-header"
    priority = 850
    Config = Config

    def prepare(self) -> None:
        self._rules = [
            ([(name.lower(), value) for name, value in rule.condition.items()], rule.upstream_name)
            for rule in self.conf.rules
        ]

    def access(self, ex: Exchange) -> None:
        values = ex.request.headers.values
        for condition, upstream in self._rules:
            if all(values.get(name) == value for name, value in condition):
                ex.service_at = (upstream, None)
                return
