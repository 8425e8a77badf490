"""Which configuration of each plugin counts for an exchange, and in which order plugins run."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, Protocol, TypeVar

from tollhouse.model.changes import at_once
from tollhouse.model.entities import PluginInstance
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.plugin import Scope

#: memberships looked at between two pauses
_SLICE: Final = 1000


class Placed(Protocol):
    """A configuration of a plugin, as far as precedence goes."""

    @property
    def name(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def scope(self) -> Scope: ...


P = TypeVar("P", bound=Placed)


class Precedence(Generic[P]):
    """Kong's order of precedence. `groups` tells the ids of the groups a consumer is in, sorted by name."""

    def __init__(self, placed: Iterable[P], groups: Mapping[str, Sequence[str]]) -> None:
        self._by_name: dict[str, dict[Scope, P]] = defaultdict(dict)
        self._groups = groups
        self.bound_to_consumers = False
        for each in placed:
            self.add(each)

    def add(self, placed: P) -> None:
        """One more, before anything is asked."""
        scope = placed.scope
        self._by_name[placed.name][scope] = placed
        self.bound_to_consumers |= scope.consumer is not None or scope.consumer_group is not None

    def effective(self, route: str | None, service: str | None, consumer: str | None) -> list[P]:
        """What counts for a route, its service and the consumer, all by their ids, in order."""
        groups = self._groups.get(consumer, ()) if consumer is not None else ()
        scopes = _precedence(route, service, consumer, groups)
        found = []
        for configured in self._by_name.values():
            for scope in scopes:
                placed = configured.get(scope)
                if placed is not None:
                    found.append(placed)
                    break
        return sorted(found, key=order)


def order(placed: Placed) -> tuple[int, tuple[int, ...]]:
    """Kong's order inside a phase: higher priority first, equal ones by name from z to a."""
    # The 0 puts a name before those that it begins with: rate-limiting-advanced before rate-limiting.
    return (-placed.priority, (*(-ord(character) for character in placed.name), 0))


def scope_of(instance: PluginInstance) -> Scope:
    """What an instance is bound to."""
    refs = (instance.route, instance.service, instance.consumer, instance.consumer_group)
    return Scope(*(ref.id if ref else None for ref in refs))


def _precedence(
    route: str | None, service: str | None, consumer: str | None, groups: Sequence[str]
) -> list[Scope]:
    """Scopes from the one that counts most to the one that counts least; of several groups the first."""
    scopes: list[Scope] = []
    if consumer is not None:
        in_group = [Scope(consumer_group=group) for group in groups]
        scopes = [
            Scope(route, service, consumer),
            *(replace(scope, route=route, service=service) for scope in in_group),
            Scope(route, None, consumer),
            Scope(None, service, consumer),
            *(replace(scope, route=route) for scope in in_group),
            *(replace(scope, service=service) for scope in in_group),
            Scope(route, service),
            Scope(None, None, consumer),
            *in_group,
        ]
    else:
        scopes = [Scope(route, service)]
    return list(dict.fromkeys([*scopes, Scope(route), Scope(None, service), Scope()]))


def groups_of(snapshot: Snapshot) -> Mapping[str, Sequence[str]]:
    """The groups of each consumer, sorted by name; only of groups that plugins are bound to."""
    return at_once(finding_groups(snapshot))


def finding_groups(snapshot: Snapshot) -> Generator[None, None, Mapping[str, Sequence[str]]]:
    """Yields between slices; returns the groups of each consumer."""
    bound = {plugin.consumer_group.id for plugin in snapshot.plugins if plugin.consumer_group}
    names = {group.id: group.name for group in snapshot.consumer_groups if group.id in bound}
    found: dict[str, list[str]] = defaultdict(list)
    for number, membership in enumerate(snapshot.consumer_group_consumers if names else ()):
        if membership.consumer_group.id in names:
            found[membership.consumer.id].append(membership.consumer_group.id)
        if number % _SLICE == 0:
            yield
    for groups in found.values():
        groups.sort(key=names.__getitem__)
    return found
