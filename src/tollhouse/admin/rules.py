"""What entities have to satisfy beside their own schema: rules that look at other entities."""

from collections.abc import Mapping
from typing import Any

from tollhouse.admin.failures import coded, violation
from tollhouse.admin.lookups import every
from tollhouse.model import validators
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.plugin import PluginInstance, protocols_problem
from tollhouse.model.schema import build
from tollhouse.stores.store import Reader, Row


def check_given(kind: Kind, values: Mapping[str, Any]) -> None:
    """Raises `Failure` for input that is judged alone, whatever else is wrong with it."""
    target = values.get("target")
    if kind.name == "targets" and isinstance(target, str) and validators.target(target) is not None:
        raise violation({"target": "Invalid target; not a valid hostname or ip address"})


async def check(reader: Reader, kind: Kind, row: Row) -> None:
    """Raises `Failure` if an entity that is right by itself cannot stand where it is put."""
    if kind.name == "plugins":
        await _check_protocols(reader, row)


async def _check_protocols(reader: Reader, row: Row) -> None:
    plugin = build(PluginInstance, row)
    routes = ENTITIES["routes"]
    route = await reader.find(routes, "id", plugin.route.id) if plugin.route is not None else None
    served: list[list[str]] = []
    if plugin.service is not None and plugin.route is None:
        where = {"service": plugin.service.id}
        served = [each["protocols"] async for each in every(reader, routes, where)]
    problem = protocols_problem(plugin, route["protocols"] if route is not None else None, served)
    if problem is not None:
        raise violation({"protocols": problem})


async def check_unused(reader: Reader, kind: Kind, row: Row) -> None:
    """Raises `Failure` if an entity cannot go because others hold its id in a list."""
    if kind.name != "ca_certificates":
        return
    async for service in every(reader, ENTITIES["services"], {}):
        if row["id"] in (service["ca_certificates"] or ()):
            text = f"ca certificate {row['id']} is still referenced by services (id = {service['id']})"
            raise coded(400, 19, "referenced by others", text)
    async for plugin in every(reader, ENTITIES["plugins"], {}):
        if row["id"] in (plugin["config"].get("ca_certificates") or ()):
            text = f"ca certificate {row['id']} is still referenced by plugins (id = {plugin['id']})"
            raise coded(400, 19, "referenced by others", text)
