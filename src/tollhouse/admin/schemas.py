"""Schemas of entities, plugins and vaults, and checks of input against them."""

from typing import Any, Final

from tollhouse.admin import snis
from tollhouse.admin.bodies import Given, given
from tollhouse.admin.changes import Checker, instant
from tollhouse.admin.failures import told, violation
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.model.describe import describe
from tollhouse.model.described import DESCRIBED
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.model.plugin import SCOPES, plugin_schema
from tollhouse.model.route import route_schema
from tollhouse.model.schema import Record, schema_of
from tollhouse.model.vault import VAULTS

_VALID: Final = {"message": "schema validation successful"}


def schema_endpoints(checker: Checker) -> Endpoints:
    """What tools learn about fields from."""
    schemas = _Schemas(checker)
    return {
        "/schemas/plugins/validate": {"POST": schemas.validate_plugin},
        "/schemas/plugins/{name}": {"GET": schemas.plugin},
        "/plugins/schema/{name}": {"GET": schemas.plugin},
        "/schemas/vaults/validate": {"POST": schemas.validate_vault},
        "/schemas/vaults/{name}": {"GET": schemas.vault},
        "/schemas/{name}": {"GET": schemas.entity},
        "/schemas/{db_entity_name}/validate": {"POST": schemas.validate_entity},
    }


def entity_schema(kind: Kind, flavor: str) -> Record:
    """The schema of a kind before a variant is chosen."""
    return route_schema(flavor) if kind.name == "routes" else kind.schema


class _Schemas:
    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    async def entity(self, call: Call) -> Answer:
        kind = _kind(call.parameters["name"])
        return Answer(body=describe(entity_schema(kind, self._checker.flavor)))

    async def plugin(self, call: Call) -> Answer:
        name = call.parameters["name"]
        record = plugin_schema(name, self._checker.plugins)
        if record is None:
            raise told(404, f"No plugin named '{name}'")
        refused = [scope for scope in SCOPES if record.fields[scope].rules.get("eq", ...) is None]
        return Answer(body=describe(record, only=(*refused, "protocols", "config")))

    async def vault(self, call: Call) -> Answer:
        name = call.parameters["name"]
        if name not in VAULTS:
            raise told(404, f"No vault named '{name}'")
        config: dict[str, Any] = {"type": "record", "required": True}
        return Answer(body={"fields": [{"config": config | describe(schema_of(VAULTS[name]))}]})

    async def validate_entity(self, call: Call) -> Answer:
        return self._validated(_kind(call.parameters["db_entity_name"]), call)

    async def validate_plugin(self, call: Call) -> Answer:
        return self._validated(ENTITIES["plugins"], call)

    async def validate_vault(self, call: Call) -> Answer:
        return self._validated(ENTITIES["vaults"], call)

    def _validated(self, kind: Kind, call: Call) -> Answer:
        body = given(call)
        values = dict(body.values)
        problems = snis.problems(snis.taken(kind, values) or ())
        if problems:
            raise violation({"snis": problems})
        self._checker.whole(kind, Given(values, body.is_form), instant(kind, 0))
        return Answer(body=_VALID)


def _kind(name: str) -> Kind:
    kind = ENTITIES.get(name) or DESCRIBED.get(name)
    if kind is None:
        raise told(404, f"No entity named '{name}'")
    return kind
