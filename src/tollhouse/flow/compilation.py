"""A snapshot with what was made of it, and what of that holds for the next snapshot."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from tollhouse.flow.backend import Backend
from tollhouse.flow.precedence import scope_of
from tollhouse.flow.snapshot import CompiledRoute, CompiledSnapshot
from tollhouse.model.changes import Changes
from tollhouse.model.entities import PluginInstance, Route, Service
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.stores.directory import PRESENTED

#: protocols of services that are spoken over TLS
TLS_PROTOCOLS: Final = frozenset({"https", "grpcs", "tls"})
#: what is found in the directory when a request comes, and is not compiled into plans
_LOOKED_UP: Final = frozenset({"consumers", "acls", "keys", "key_sets", *PRESENTED, "hash"})
_COMPILED: Final = tuple(part.name for part in fields(Snapshot) if part.name not in _LOOKED_UP)


@dataclass(frozen=True, slots=True)
class Made:
    """A plugin object, the instance as it stands in the snapshot, and with secrets in their places."""

    instance: PluginInstance
    resolved: PluginInstance
    plugin: Plugin[Any]


@dataclass(slots=True)
class PluginObjects:
    """The plugin objects of a snapshot, by the id of the instance they were made from."""

    made: dict[str, Made]

    def is_same(self, other: "PluginObjects") -> bool:
        """Whether both hold the same objects."""
        return self.made.keys() == other.made.keys() and all(
            each.plugin is other.made[id_].plugin for id_, each in self.made.items()
        )

    def of(self, protocols: Collection[str]) -> Iterator[Plugin[Any]]:
        """Those of instances that are for one of these protocols."""
        wanted = frozenset(protocols)
        return (each.plugin for each in self.made.values() if not wanted.isdisjoint(each.instance.protocols))

    def scopes_other_than(self, other: "PluginObjects") -> Iterable[Scope]:
        """What the objects are bound to that only one of both holds."""
        for one, another in ((self, other), (other, self)):
            for id_, each in one.made.items():
                counterpart = another.made.get(id_)
                if counterpart is None or counterpart.plugin is not each.plugin:
                    yield scope_of(each.instance)

    def close_missing(self, successor: "PluginObjects") -> None:
        """Closes those that the next snapshot did not take over."""
        kept = {id(each.plugin) for each in successor.made.values()}
        for each in self.made.values():
            if id(each.plugin) not in kept:
                each.plugin.close()


@dataclass(frozen=True, slots=True)
class Compilation:
    """A snapshot, what was made of it, and what that was made of."""

    snapshot: Snapshot
    compiled: CompiledSnapshot
    objects: PluginObjects
    #: backends by the id of their service
    backends: Mapping[str, Backend]
    #: the routes that are in the router
    served: Sequence[Route]

    def serves(self, snapshot: Snapshot, objects: PluginObjects) -> bool:
        """Whether another snapshot would be compiled to the same."""
        return objects.is_same(self.objects) and all(
            getattr(snapshot, part) == getattr(self.snapshot, part) for part in _COMPILED
        )


class Kept:
    """What of a compilation holds for the snapshot that changes have led to: backends and plans of which
    nothing has changed that they were made from."""

    def __init__(self, before: Compilation, changes: Changes, objects: PluginObjects) -> None:
        self._routes: Mapping[str, CompiledRoute] = before.compiled.routes
        plans = [
            scope
            for scope in objects.scopes_other_than(before.objects)
            if scope.consumer is None and scope.consumer_group is None
        ]
        self._no_plans = Scope() in plans
        self._stale_routes = {scope.route for scope in plans}
        self._stale_services = {scope.service for scope in plans if scope.route is None}
        self.backends = _kept_backends(before, changes)

    def route(self, route: Route, service: Service | None) -> CompiledRoute | None:
        """The route as it was compiled before, unless that has to be done again."""
        former = self._routes.get(route.id)
        if (
            former is None
            or self._no_plans
            or former.route is not route
            or former.service is not service
            or route.id in self._stale_routes
        ):
            return None
        if service is not None and (service.id in self._stale_services or service.id not in self.backends):
            return None
        return former


def _kept_backends(before: Compilation, changes: Changes) -> dict[str, Backend]:
    stale_upstreams = {target.upstream.id for target in changes.touched("targets")}
    stale_hosts = {upstream.name for upstream in changes.touched("upstreams")}
    for upstream in before.snapshot.upstreams if stale_upstreams else ():
        if upstream.id in stale_upstreams:
            stale_hosts.add(upstream.name)
    stale_services = {service.id for service in changes.touched("services")}
    tls_is_stale = any(changes.splices.get(name) for name in ("certificates", "ca_certificates"))
    return {
        service.id: before.backends[service.id]
        for service in before.snapshot.services
        if service.id in before.backends
        and service.id not in stale_services
        and service.host not in stale_hosts
        and not (tls_is_stale and service.protocol in TLS_PROTOCOLS)
    }
