"""Which addresses of upstreams get requests: counted over all workers, probed, and overruled by operators."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tollhouse.admin.health import TargetAddress
from tollhouse.balance.health import HealthCounts, Key, Outcome, outcome_of
from tollhouse.model.snapshot import Snapshot
from tollhouse.model.upstream import Active, Passive, Upstream
from tollhouse.pdk.tasks import Tasks
from tollhouse.supervisor.probe import Probe, ProbeTls, probe
from tollhouse.upstream.target_names import TargetNames, TargetRecord

log = logging.getLogger("tollhouse.health")

#: how often it is looked whose probe is due, in seconds
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class _Probed:
    """One address that is probed: whose it is, and when its next probe is due."""

    upstream: Upstream
    host: str
    key: Key
    due: float
    under_way: bool = False


class HealthBoard:
    """The control process's word on the health of targets. `decide` tells every worker."""

    def __init__(
        self,
        current: Callable[[], Snapshot],
        decide: Callable[[Key, bool], None],
        names: TargetNames,
        tasks: Tasks,
        tls: ProbeTls,
        *,
        with_streams: bool = False,
    ) -> None:
        self._current = current
        self._snapshot: Snapshot | None = None
        self._decide = decide
        self._names = names
        self._tasks = tasks
        self._tls = tls
        self._with_streams = with_streams
        self._counts = HealthCounts()
        self._upstreams: dict[str, Upstream] = {}
        self._targets: dict[str, list[tuple[str, int]]] = {}
        self._probed: dict[Key, _Probed] = {}
        self._free: dict[str, asyncio.Semaphore] = {}

    def _keep_up(self) -> None:
        """Takes over a new configuration, if there is one."""
        snapshot = self._current()
        if snapshot is self._snapshot:
            return
        self._snapshot = snapshot
        self._upstreams = {upstream.id: upstream for upstream in snapshot.upstreams}
        self._tls.serve(snapshot)
        self._targets = {id_: [] for id_ in self._upstreams}
        for target in snapshot.targets:
            host, _, port = target.target.rpartition(":")
            if target.weight:
                self._targets[target.upstream.id].append((host, int(port)))
        self._counts.keep(self._upstreams)
        self._free = {
            id_: asyncio.Semaphore(upstream.healthchecks.active.concurrency or 10)
            for id_, upstream in self._upstreams.items()
        }
        self._probed = {
            key: _Probed(self._upstreams[key[0]], probed.host, key, probed.due)
            for key, probed in self._probed.items()
            if key[0] in self._upstreams
        }

    def unhealthy(self) -> Iterable[Key]:
        """What a worker that has just come has to know."""
        return self._counts.unhealthy()

    # What is found out

    def observed(self, key: Key, outcome: Outcome) -> None:
        """A worker tells what happened to a request."""
        self._keep_up()
        upstream = self._upstreams.get(key[0])
        if upstream is not None:
            passive = upstream.healthchecks.passive
            self._report(key, outcome, _limit(passive, outcome), "by its traffic")

    def _report(self, key: Key, outcome: Outcome, limit: int, how: str) -> None:
        changed = self._counts.report(key, outcome, limit)
        if changed is not None:
            self._announce(key, healthy=changed, how=how)

    def _announce(self, key: Key, *, healthy: bool, how: str) -> None:
        upstream, state = self._upstreams.get(key[0]), "healthy" if healthy else "unhealthy"
        name = upstream.name if upstream is not None else key[0]  # one that is not served yet
        log.warning("%s:%d of upstream %s is %s %s", key[2], key[3], name, state, how)
        self._decide(key, healthy)

    # For the Admin API

    async def addresses(self, upstream: str, target: str) -> list[TargetAddress]:
        """What a target stands for now, whether each gets requests; None if nobody has found out."""
        host, _, port = target.rpartition(":")
        found = await self._addresses(host)
        shown = {
            TargetAddress(
                record.host or record.ip,
                record.port or int(port),
                record.weight,
                self._counts.is_healthy(_key_of(upstream, host, record, int(port))),
            )
            for record in found
        }
        return sorted(shown, key=lambda each: (each.host, each.port))

    def states(self, upstream: str, target: str) -> list[tuple[str, str]]:
        """The known addresses of a target, each with its state as Kong's metrics call it."""
        self._keep_up()
        host, _, port = target.rpartition(":")
        records: Sequence[TargetRecord] | None = _literal(host) or self._names.known(host)
        if records is None:  # it is looked up for the next time; until then nothing is wrong
            self._tasks.spawn(self._look_up(host), "look up a target")
            return [(target, self._state((upstream, target, "", 0)))]
        if not records:
            return [("", "dns_error")]
        keys = [_key_of(upstream, host, record, int(port)) for record in records]
        return [(f"{key[2]}:{key[3]}", self._state(key)) for key in keys]

    async def _look_up(self, host: str) -> None:
        await self._names.resolve(host)

    def _state(self, key: Key) -> str:
        if not is_checked(self._upstreams[key[0]]):
            return "healthchecks_off"
        return "unhealthy" if self._counts.is_healthy(key) is False else "healthy"

    async def overrule(
        self, upstream: str, target: str, address: tuple[str, int] | None, *, healthy: bool
    ) -> None:
        """An operator decides about an address, or about all of a target."""
        self._keep_up()
        host, _, port = target.rpartition(":")
        for record in await self._addresses(host):
            key = _key_of(upstream, host, record, int(port))
            if address is not None and address not in (key[2:], (record.host, key[3])):
                continue
            self._counts.set(key, healthy=healthy)
            self._announce(key, healthy=healthy, how="as an operator says")

    async def _addresses(self, host: str) -> Sequence[TargetRecord]:
        return _literal(host) or await self._names.resolve(host)

    # Probing

    async def probe_forever(self) -> None:
        """Probes whatever is due."""
        loop = asyncio.get_running_loop()
        while True:
            self._keep_up()
            await self._find_addresses(loop.time())
            now = loop.time()
            for probed in self._probed.values():
                if not probed.under_way and now >= probed.due:
                    probed.under_way = True
                    self._tasks.spawn(self._probe(probed), "health probe")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _find_addresses(self, now: float) -> None:
        current: set[Key] = set()
        for id_, upstream in list(self._upstreams.items()):
            if not _is_probed(upstream.healthchecks.active, with_streams=self._with_streams):
                continue
            for host, port in self._targets[id_]:
                for record in await self._addresses(host):
                    key = _key_of(id_, host, record, port)
                    current.add(key)
                    if key not in self._probed:
                        self._probed[key] = _Probed(upstream, host, key, now)
        self._probed = {key: probed for key, probed in self._probed.items() if key in current}

    async def _probe(self, probed: _Probed) -> None:
        upstream, active = probed.upstream, probed.upstream.healthchecks.active
        try:
            if self._interval(probed):
                async with self._free[upstream.id]:
                    outcome = _judged(await probe(_probe_of(probed, self._tls)), active)
                if outcome is not None and probed.key[0] in self._upstreams:
                    self._report(probed.key, outcome, _limit(active, outcome), "by its probes")
        finally:
            probed.under_way = False
            probed.due = asyncio.get_running_loop().time() + (self._interval(probed) or 1.0)

    def _interval(self, probed: _Probed) -> float:
        active = probed.upstream.healthchecks.active
        healthy = self._counts.is_healthy(probed.key) is not False
        return (active.healthy.interval if healthy else active.unhealthy.interval) or 0.0


def is_checked(upstream: Upstream) -> bool:
    """Whether anything may take an address of the upstream out."""
    active, bad = upstream.healthchecks.active, upstream.healthchecks.passive.unhealthy
    return bool(
        active.healthy.interval
        or active.unhealthy.interval
        or bad.tcp_failures
        or bad.timeouts
        or bad.http_failures
    )


def _limit(checks: Active | Passive, outcome: Outcome) -> int:
    """How many of an outcome change the health: of `Active` or `Passive` checks."""
    bad = checks.unhealthy
    limits = {
        "success": checks.healthy.successes,
        "http_failure": bad.http_failures,
        "tcp_failure": bad.tcp_failures,
        "timeout": bad.timeouts,
    }
    return limits[outcome] or 0


def _is_probed(active: Active, *, with_streams: bool) -> bool:
    """As in Kong, probes of type `tcp` are for connections without HTTP: there are none without such."""
    wanted = bool(active.healthy.interval or active.unhealthy.interval)
    return wanted and (with_streams or active.type != "tcp")


def _probe_of(probed: _Probed, tls: ProbeTls) -> Probe:
    active = probed.upstream.healthchecks.active
    _, _, ip, port = probed.key
    headers: Sequence[tuple[str, str]] = [
        (name, value) for name, values in (active.headers or {}).items() for value in values
    ]
    host = probed.upstream.host_header or (probed.host if port in (80, 443) else f"{probed.host}:{port}")
    context = tls.context(probed.upstream) if active.type in ("https", "grpcs") else None
    server_name = active.https_sni or probed.host.strip("[]")
    seconds = float(active.timeout or 1)
    only_connects = active.type in ("tcp", "grpc", "grpcs")
    path = None if only_connects else active.http_path or "/"
    return Probe(ip, port, path, host, headers, seconds, context, server_name)


def _judged(result: int | Outcome, active: Active) -> Outcome | None:
    if isinstance(result, int):
        good, bad = active.healthy.http_statuses or (), active.unhealthy.http_statuses or ()
        return outcome_of(result, good, bad)
    return result


def _literal(host: str) -> tuple[TargetRecord, ...]:
    """The address that a target names itself; none if it is to be looked up."""
    is_address = ":" in host or host.replace(".", "").isdigit()
    return (TargetRecord(host.strip("[]")),) if is_address else ()


def _key_of(upstream: str, host: str, record: TargetRecord, port: int) -> Key:
    return upstream, host.strip("[]"), record.ip, record.port or port
