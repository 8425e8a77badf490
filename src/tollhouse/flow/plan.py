"""The plan of a route: its plugins in order and its backend, compiled once per snapshot."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tollhouse.flow.backend import Backend
from tollhouse.flow.drive import DrivenExchange
from tollhouse.flow.precedence import order
from tollhouse.flow.timing import timed
from tollhouse.pdk.plugin import Plugin

if TYPE_CHECKING:
    from tollhouse.flow.gateway import Gateway

AccessStep = Callable[[Any], Awaitable[None] | None]
Step = Callable[[Any], None]
BodyFilter = Callable[[Any, bytes, bool], bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to an exchange of one route: every phase in order of priority, and the backend."""

    plugins: tuple[Plugin[Any], ...] = ()
    access: tuple[AccessStep, ...] = ()
    response: tuple[AccessStep, ...] = ()
    header_filter: tuple[Step, ...] = ()
    body_filter: tuple[BodyFilter, ...] = ()
    #: some body filter may send something else than it was given
    changes_body: bool = False
    own_answer: tuple[Step, ...] = ()
    #: some filter wants to find on the answer what other plugins have put there
    merges_early: bool = False
    log: tuple[Step, ...] = ()
    backend: Backend | None = None
    #: refuses requests of the wrong protocol for this route
    guard: Step | None = None
    preserve_host: bool = False
    #: goes on with the access phase by the consumer, where plugins are bound to consumers
    scoped: "Scoped | None" = None


def plan_of(plugins: Sequence[Plugin[Any]]) -> Plan:
    """The phases of these plugins, which are in order."""
    access: list[AccessStep] = []
    is_timed = any(plugin.wants_timings for plugin in plugins)
    for plugin in plugins:
        step = access_of(plugin, is_timed=is_timed)
        if step is not None:
            if plugin.request_body_limit is not None:
                access.append(_BodyRead(plugin.request_body_limit, plugin.needs_body).step)
            access.append(step)
    return Plan(
        plugins=tuple(plugins),
        access=tuple(access),
        response=_phase(plugins, "response", is_timed=is_timed),
        header_filter=_phase(plugins, "header_filter", is_timed=is_timed),
        body_filter=_phase(plugins, "body_filter", is_timed=is_timed),
        changes_body=any(
            plugin.changes_body and hasattr(plugin, "body_filter") and "body_filter" not in plugin.idle
            for plugin in plugins
        ),
        own_answer=_phase(plugins, "own_answer"),
        merges_early=any(
            plugin.looks_at_answer and hasattr(plugin, phase)
            for plugin in plugins
            for phase in ("response", "header_filter")
        ),
        log=_phase(plugins, "log"),
    )


def access_of(plugin: Plugin[Any], *, is_timed: bool) -> AccessStep | None:
    """The access phase of a plugin, if it has one."""
    step: AccessStep | None = getattr(plugin, "access", None)
    return timed(step, "access", plugin.name) if is_timed and step is not None else step


def _phase(plugins: Sequence[Plugin[Any]], name: str, *, is_timed: bool = False) -> tuple[Any, ...]:
    steps = [
        (plugin, getattr(plugin, name))
        for plugin in plugins
        if hasattr(plugin, name) and name not in plugin.idle
    ]
    return tuple(timed(step, name, plugin.name) if is_timed else step for plugin, step in steps)


@dataclass(frozen=True, slots=True)
class _BodyRead:
    """An access step of its own: waits for the request body, up to a limit in bytes."""

    limit: int
    needed: Callable[[Any], bool]

    def step(self, ex: DrivenExchange) -> Awaitable[None] | None:
        if ex.request.content is not None:
            return None  # nearly always: it came with the head
        body = ex.client.body
        return None if body is None or not self.needed(ex) else body.collect(self.limit)


class Scoped:
    """The access phase where plugins are bound to consumers.

    Which configuration of a plugin counts is decided when its turn comes: a plugin that runs before
    the consumer is known never sees one of that consumer's own. So after every step this looks whether
    the consumer has changed, and goes on with the plugins that come later for that consumer.
    """

    def __init__(self, plan: Plan, effective: Callable[[str], Sequence[Plugin[Any]]]) -> None:
        self._plan = plan
        #: the plugins that count for a consumer, in order
        self.effective = effective
        self._is_timed = any(each.wants_timings for each in plan.plugins)
        self._plans: dict[tuple[str, Plugin[Any]], Plan] = {}

    async def go_on(self, ex: DrivenExchange, gateway: "Gateway") -> Plan:
        """Runs the access phase; returns the plan for the rest of the exchange."""
        plan, place, known = self._plan, 0, ex.consumer
        while place < len(plan.plugins):
            plugin = plan.plugins[place]
            await self._run(plugin, ex, gateway)
            place += 1
            if ex.consumer is not known and ex.consumer is not None:
                known = ex.consumer
                plan = ex.plan = self._plan_for(plan, place, known.id)
        return plan

    async def _run(self, plugin: Plugin[Any], ex: DrivenExchange, gateway: "Gateway") -> None:
        step = access_of(plugin, is_timed=self._is_timed)
        if step is None:
            return
        if plugin.request_body_limit is not None:
            reading = _BodyRead(plugin.request_body_limit, plugin.needs_body).step(ex)
            if reading is not None:
                await gateway.settled(reading)
        waiting = step(ex)
        if waiting is not None:
            await gateway.settled(waiting)

    def _plan_for(self, plan: Plan, place: int, consumer: str) -> Plan:
        last = plan.plugins[place - 1]
        found = self._plans.get((consumer, last))
        if found is None:
            later = [plugin for plugin in self.effective(consumer) if order(plugin) > order(last)]
            found = plan_of([*plan.plugins[:place], *later])
            found = replace(found, backend=plan.backend, preserve_host=plan.preserve_host)
            if len(self._plans) >= 10_000:
                self._plans.clear()
            self._plans[(consumer, last)] = found
        return found
