"""Health of upstreams' targets: `/upstreams/{u}/health` and the operator's word on a target.

What workers have found out comes through `HealthBoard`. Where no health checks are configured, or nothing is
known yet, only DNS has something to say.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from tollhouse.admin.entities import Entities
from tollhouse.admin.failures import absent, told
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.admin.listing import page_body, part_of
from tollhouse.admin.lookups import every, find
from tollhouse.model import hosts
from tollhouse.model.entities import ENTITIES
from tollhouse.model.upstream import DEFAULT_TARGET_PORT
from tollhouse.stores.store import Row

State = Literal["HEALTHY", "UNHEALTHY", "HEALTHCHECKS_OFF", "DNS_ERROR"]
_UPSTREAMS: Final = ENTITIES["upstreams"]
_TARGETS: Final = ENTITIES["targets"]


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """One address that a target stands for, by the name of its SRV record if it has one, as in Kong."""

    host: str
    port: int
    #: that of its SRV record
    weight: int | None
    #: whether it gets requests; None if nobody has found out
    healthy: bool | None


class HealthBoard(Protocol):
    """What is known of the health of addresses, and how an operator overrules it."""

    async def addresses(self, upstream: str, target: str) -> list[TargetAddress]:
        """What a target (`host:port`) of an upstream, called by its id, stands for now."""
        ...

    async def overrule(
        self, upstream: str, target: str, address: tuple[str, int] | None, *, healthy: bool
    ) -> None:
        """Lets all workers take an address, or all of a target, for healthy or not."""
        ...


def health_endpoints(entities: Entities, board: HealthBoard | None, node_id: str) -> Endpoints:
    """The health of targets, and setting it."""
    health = _Health(entities, board, node_id)
    target = "/upstreams/{upstreams}/targets/{targets}"
    return {
        "/upstreams/{upstreams}/health": {"GET": health.get},
        "/upstreams/{upstreams}/targets/all": {"GET": health.all_targets},
        f"{target}/healthy": {"PUT": health.set_healthy},
        f"{target}/unhealthy": {"PUT": health.set_unhealthy},
        f"{target}/{{address}}/healthy": {"PUT": health.set_healthy},
        f"{target}/{{address}}/unhealthy": {"PUT": health.set_unhealthy},
    }


class _Health:
    def __init__(self, entities: Entities, board: HealthBoard | None, node_id: str) -> None:
        self._entities = entities
        self._board = board
        self._node_id = node_id

    async def _upstream(self, call: Call) -> tuple[Row, list[Row]]:
        async with self._entities.reading() as reader:
            upstream = await find(reader, _UPSTREAMS, call.parameters["upstreams"], {})
            if upstream is None:
                raise absent()
            targets = [row async for row in every(reader, _TARGETS, {"upstream": upstream["id"]})]
            return upstream, targets

    async def all_targets(self, call: Call) -> Answer:
        _, targets = await self._upstream(call)
        page = part_of(call, targets)
        return Answer(body=page_body(call, page.rows, page.offset))

    async def get(self, call: Call) -> Answer:
        upstream, targets = await self._upstream(call)
        if call.argument("balancer_health") == "1":
            data = await asyncio.gather(*(self._target(upstream, row) for row in targets))
            return Answer(body={"data": self._whole(upstream, data), "node_id": self._node_id})
        newest = sorted(targets, key=lambda row: (row["created_at"], row["id"]), reverse=True)
        page = part_of(call, newest)
        shown = await asyncio.gather(*(self._target(upstream, row) for row in page.rows))
        return Answer(body={**page_body(call, shown, page.offset), "node_id": self._node_id})

    async def _target(self, upstream: Row, row: Row) -> dict[str, Any]:
        board = self._board
        addresses = await board.addresses(upstream["id"], row["target"]) if board is not None else ()
        shown: list[dict[str, Any]] = []
        for each in addresses:
            where = {"ip": each.host, "port": each.port, "weight": each.weight or row["weight"]}
            # An address without weight gets nothing, so nobody looks after it.
            state = _state(upstream, each) if where["weight"] else "HEALTHCHECKS_OFF"
            shown.append({**where, "health": state})
        health = min((each["health"] for each in shown), key=_STATES.index, default="DNS_ERROR")
        available = sum(each["weight"] for each in shown if each["health"] != "UNHEALTHY")
        whole = sum(each["weight"] for each in shown)
        weights = {"total": whole, "available": available, "unavailable": whole - available}
        host, _, port = row["target"].rpartition(":")
        data: dict[str, Any] = {"addresses": shown, "weight": weights, "nodeWeight": row["weight"]}
        data |= {"host": host, "port": int(port)}
        return {**row, "health": health, "data": data}

    def _whole(self, upstream: Row, targets: list[dict[str, Any]]) -> dict[str, Any]:
        """The upstream as its balancer sees it."""
        total = sum(target["data"]["weight"]["total"] for target in targets)
        available = sum(target["data"]["weight"]["available"] for target in targets)
        threshold = upstream["healthchecks"]["threshold"] or 0
        is_healthy = total > 0 and available / total * 100 > threshold
        checked = _is_checked(upstream["healthchecks"])
        weight = {"total": total, "available": available, "unavailable": total - available}
        hosts_shown = [target["data"] for target in targets]
        return {
            "id": upstream["id"],
            "health": ("HEALTHY" if is_healthy else "UNHEALTHY") if checked else "HEALTHCHECKS_OFF",
            "balancer_health": "HEALTHY" if is_healthy else "UNHEALTHY",
            "details": {"healthy": is_healthy, "weight": weight, "hosts": hosts_shown},
        }

    async def set_healthy(self, call: Call) -> Answer:
        return await self._set(call, healthy=True)

    async def set_unhealthy(self, call: Call) -> Answer:
        return await self._set(call, healthy=False)

    async def _set(self, call: Call, *, healthy: bool) -> Answer:
        if self._board is None:
            raise told(400, "this node does not eject targets, so their health cannot be set")
        upstream, _ = await self._upstream(call)
        async with self._entities.reading() as reader:
            text = call.parameters["targets"]
            target = await find(reader, _TARGETS, text, {"upstream": upstream["id"]})
        if target is None:
            raise absent()
        if not call.actor.may_change(target):
            raise told(403, f"'{call.actor.name}' may not change this entity")
        address = call.parameters.get("address")
        where = _address(address) if address is not None else None
        state = "healthy" if healthy else "unhealthy"
        about = {"entity": "targets", "id": target["id"], "address": address}
        await self._entities.audit.event(call.actor, f"set {state}", **about)
        await self._board.overrule(upstream["id"], target["target"], where, healthy=healthy)
        return Answer(204)


#: of several addresses, the first of these that one of them is in counts for the target
_STATES: Final = ("HEALTHY", "UNHEALTHY", "HEALTHCHECKS_OFF", "DNS_ERROR")


def _is_checked(checks: Mapping[str, Any]) -> bool:
    """Whether anything can eject a target."""
    active, passive = checks["active"], checks["passive"]["unhealthy"]
    probes = active["healthy"]["interval"] or active["unhealthy"]["interval"]
    return bool(probes or passive["tcp_failures"] or passive["timeouts"] or passive["http_failures"])


def _address(text: str) -> tuple[str, int]:
    try:
        parsed = hosts.parse(text)
    except ValueError:
        raise told(400, f"'{text}' is not an address") from None
    host, _, port = parsed.with_port(DEFAULT_TARGET_PORT).rpartition(":")
    return host.strip("[]"), int(port)


def _state(upstream: Row, address: TargetAddress) -> State:
    if not _is_checked(upstream["healthchecks"]):
        return "HEALTHCHECKS_OFF"
    return "UNHEALTHY" if address.healthy is False else "HEALTHY"
