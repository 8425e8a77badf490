"""Plugin instances: a plugin, its settings, and the routes, services or consumers it applies to.

What `config` may hold, which scopes a plugin allows and which protocols it knows is told by the
plugins themselves, through `PluginSchemas`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tollhouse.model.common import HTTP_PROTOCOLS, created_at, tags, updated_at, uuid_id
from tollhouse.model.common import Protocol as WireProtocol
from tollhouse.model.fields import MISSING
from tollhouse.model.schema import Record, Ref, schema_of, setting
from tollhouse.model.validators import utf8_name

SCOPES: Final = ("route", "service", "consumer", "consumer_group")


class PluginSchemas(Protocol):
    """What the model has to know about the plugins that are installed and enabled."""

    def config(self, name: str) -> Record | None:
        """The schema of a plugin's settings; None for a plugin that is not enabled."""

    def forbidden_scopes(self, name: str) -> Collection[str]:
        """Those of `SCOPES` that the plugin must not be given. Without consumers there are no groups of
        them either."""

    def protocols(self, name: str) -> tuple[str, ...]:
        """The protocols the plugin may be given, in alphabetical order."""

    def default_protocols(self, name: str) -> tuple[str, ...]:
        """The protocols it has unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInstance:
    """A plugin at work somewhere; `config` is normalised, every default filled in."""

    id: str = uuid_id()
    name: str = setting(required=True, doc="Which plugin.")
    instance_name: str | None = setting(
        None, unique=True, validator=utf8_name, doc="A unique name for this instance."
    )
    created_at: int = created_at()
    updated_at: int = updated_at()
    route: Ref | None = setting(
        None, reference="routes", on_delete="cascade", doc="Only for requests of this route."
    )
    service: Ref | None = setting(
        None, reference="services", on_delete="cascade", doc="Only for requests to this service."
    )
    consumer: Ref | None = setting(
        None, reference="consumers", on_delete="cascade", doc="Only for requests of this consumer."
    )
    # Kong's open-source edition does not know groups: it is shown and counts in ids only where it is set.
    consumer_group: Ref | None = setting(
        None,
        reference="consumer_groups",
        on_delete="cascade",
        hidden=True,
        doc="Only for requests of consumers in this group.",
    )
    config: dict[str, Any] = setting(dict, abstract=True, doc="The plugin's settings.")
    protocols: tuple[WireProtocol, ...] = setting(
        HTTP_PROTOCOLS, required=True, as_set=True, doc="Only for requests over these protocols."
    )
    enabled: bool = setting(True, required=True, doc="Whether it does anything.")
    tags: tuple[str, ...] | None = tags()


def plugin_schema(name: str, plugins: PluginSchemas) -> Record | None:
    """The schema of instances of one plugin; None if it is not enabled."""
    config = plugins.config(name)
    if config is None:
        return None
    changes: dict[str, dict[str, Any]] = {
        "config": {"record": config, "required": True, "abstract": False, "default": MISSING},
        "protocols": {
            "items": {"one_of": plugins.protocols(name)},
            "default": list(plugins.default_protocols(name)),
        },
    }
    forbidden = frozenset(plugins.forbidden_scopes(name))
    for scope in forbidden | ({"consumer_group"} if "consumer" in forbidden else set()):
        changes[scope] = {"eq": None}
    return schema_of(PluginInstance).varied(changes, checks=config.outer_checks)


def plugin_variant(raw: Mapping[str, Any], plugins: PluginSchemas) -> Record | dict[str, Any]:
    """The schema for this input, or Kong's error map when its name selects none."""
    name = raw.get("name")
    if name is None:
        return {"name": "required field missing"}
    if not isinstance(name, str):
        return {"name": "expected a string"}
    schema = plugin_schema(name, plugins)
    if schema is None:
        text = f"plugin '{name}' not enabled; add it to the 'plugins' configuration property"
        return {"name": text}
    return schema


def protocols_problem(
    plugin: PluginInstance, route_protocols: Iterable[str] | None, service_routes: Iterable[Iterable[str]]
) -> str | None:
    """Why a plugin could never run where it is put, by the protocols of its route or its service's.

    `route_protocols` is None unless the plugin is for a route; `service_routes` has the protocols of
    each route of its service.
    """
    own = frozenset(plugin.protocols)
    if plugin.route is not None and route_protocols is not None:
        return None if own.intersection(route_protocols) else "must match the associated route's protocols"
    routes = list(service_routes)
    if plugin.service is None or not routes or any(own.intersection(protocols) for protocols in routes):
        return None
    return "must match the protocols of at least one route pointing to this Plugin's service"
