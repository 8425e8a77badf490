"""Whatever field is accepted is kept: read back from the snapshot, its way between processes, and a dump."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.support.entities import FIELDS, ID, MADE_UP, PARENT, PARENTS, entities

from tollhouse.config.declarative import Refused, load
from tollhouse.config.export import to_config_text
from tollhouse.model.credentials import hashed_password
from tollhouse.model.entities import ENTITIES, as_json
from tollhouse.model.plugin import PluginSchemas
from tollhouse.model.snapshot import Snapshot, decode, encode


@pytest.mark.parametrize("kind", ENTITIES.values(), ids=lambda kind: kind.name)
def test_every_field_of_every_kind_is_tried(kind: Any) -> None:
    assert set(kind.schema.fields) - MADE_UP == set(FIELDS[kind.name])


def loaded(document: Mapping[str, Any] | str, plugins: PluginSchemas, flavor: str) -> Snapshot:
    text = document if isinstance(document, str) else json.dumps(document)
    return load(text, file=None, plugins=plugins, flavor=flavor, now=5)


def entity(snapshot: Snapshot, name: str, flavor: str) -> dict[str, Any]:
    return next(as_json(each, flavor) for each in getattr(snapshot, name) if each.id == ID)


@settings(
    max_examples=400,
    suppress_health_check=list(HealthCheck),
)
@given(entities())
def test_a_field_that_is_accepted_is_kept(plugins: PluginSchemas, chosen: tuple[str, dict[str, Any]]) -> None:
    name, raw = chosen
    flavor = "expressions" if "expression" in raw or "priority" in raw else "traditional_compatible"
    document: dict[str, Any] = {"_format_version": "3.0", **PARENTS}
    if flavor == "expressions":
        document["routes"] = [{"id": PARENT, "name": "parent", "expression": 'http.path == "/parent"'}]
    document[name] = [*document.get(name, ()), {"id": ID, **raw}]
    try:
        snapshot = loaded(document, plugins, flavor)
    except Refused:
        assume(False)
        raise

    shown = entity(snapshot, name, flavor)
    expected = dict(raw)
    if name == "basicauth_credentials":
        expected["password"] = hashed_password(raw["password"], PARENT)
    if name == "plugins":
        expected["config"] = {**shown["config"], **raw["config"]}
    if name == "upstreams":
        # The way of balancing and what is hashed change one another, as in Kong.
        for field in ("algorithm", "hash_on"):
            expected.pop(field, None)
    assert {field: shown[field] for field in expected} == expected
    assert entity(decode(encode(snapshot)), name, flavor) == shown
    again = entity(loaded(to_config_text(snapshot, flavor), plugins, flavor), name, flavor)
    assert again == shown


def test_an_upstream_that_hashes_nothing_is_exported_as_it_is(plugins: PluginSchemas) -> None:
    raw = {"id": ID, "name": "u.test", "algorithm": "consistent-hashing"}
    snapshot = loaded({"_format_version": "3.0", "upstreams": [raw]}, plugins, "traditional_compatible")
    again = loaded(to_config_text(snapshot), plugins, "traditional_compatible")
    assert again.upstreams[0].algorithm == snapshot.upstreams[0].algorithm == "consistent-hashing"
