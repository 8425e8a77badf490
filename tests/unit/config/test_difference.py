"""What it takes to get from one configuration to another, and a snapshot as people write it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.config.declarative import load
from tollhouse.config.difference import applied, difference
from tollhouse.config.export import rows_to_text, to_yaml
from tollhouse.config.nested import to_nested_text
from tollhouse.model.plugin import PluginSchemas
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry

PLUGINS: PluginSchemas = Registry()
FLAVOR = "traditional_compatible"


def snapshot(text: str, now: int = 1_700_000_000) -> Snapshot:
    return load(text, file=None, plugins=PLUGINS, flavor=FLAVOR, now=now)


def document(**collections: Any) -> Snapshot:
    return snapshot(to_yaml({"_format_version": "3.0", **collections}))


BASE = """_format_version: "3.0"
services:
- {name: a, host: x, tags: [one], routes: [{name: r, paths: [/a]}], plugins: [{name: cors}]}
- {name: b, host: x}
consumers: [{username: u, keyauth_credentials: [{key: k}]}]
"""


def shown(text: str, tags: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    return [(c.action, c.kind.name, c.name) for c in difference(snapshot(BASE), snapshot(text), tags)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text, []),
        (lambda text: text.replace("name: b, host: x", "name: b, host: y"), [("update", "services", "b")]),
        (
            lambda text: text.replace("- {name: b, host: x}", "- {name: c, host: x}"),
            [("create", "services", "c"), ("delete", "services", "b")],
        ),
        (lambda text: text.replace("name: r, ", "name: r, methods: [GET], "), [("update", "routes", "r")]),
        (
            lambda text: text.replace(", plugins: [{name: cors}]", ""),
            [("delete", "plugins", "cors of service a")],
        ),
        (
            lambda text: text.replace("key: k", "key: other"),
            [
                ("create", "keyauth_credentials", "consumer u"),
                ("delete", "keyauth_credentials", "consumer u"),
            ],
        ),
    ],
)
def test_what_changes(change: Callable[[str], str], expected: list[tuple[str, str, str]]) -> None:
    assert shown(change(BASE)) == expected


def test_parents_are_created_first_and_deleted_last() -> None:
    empty = snapshot('_format_version: "3.0"')
    made = [change.kind.name for change in difference(empty, snapshot(BASE))]
    gone = [change.kind.name for change in difference(snapshot(BASE), empty)]
    assert made.index("services") < made.index("routes") < made.index("plugins")
    assert gone == made[::-1]


def test_with_tags_nothing_else_is_touched() -> None:
    changed = BASE.replace("host: x", "host: y")
    assert shown(changed, ("one",)) == [("update", "services", "a")]
    assert shown(BASE.replace(", tags: [one]", ""), ("one",)) == []


def test_ids_of_the_running_configuration_stay() -> None:
    running = snapshot(BASE.replace("name: a,", "name: a, id: 5b1a8a2e-60d1-4a5d-b90b-3c0a1f6c7d11,"))
    wanted = snapshot(BASE.replace("paths: [/a]", "paths: [/b]"))
    changes = difference(running, wanted)
    assert [(change.kind.name, change.action) for change in changes] == [("routes", "update")]
    after = changes[0].after
    assert after is not None
    assert after["service"] == {"id": "5b1a8a2e-60d1-4a5d-b90b-3c0a1f6c7d11"}
    assert difference(snapshot(rows_to_text(applied(running, changes))), wanted) == []


names = st.sampled_from(["a", "b", "c", "d"])
services = st.lists(
    st.fixed_dictionaries(
        {"name": names, "host": st.sampled_from(["x", "y"])},
        optional={
            "retries": st.integers(0, 9),
            "path": st.sampled_from(["/", "/p"]),
            "tags": st.lists(names, max_size=2, unique=True),
            "plugins": st.just([{"name": "rate-limiting", "config": {"minute": 5}}]),
        },
    ),
    unique_by=lambda service: str(service["name"]),
    max_size=4,
)
consumers = st.lists(
    st.fixed_dictionaries(
        {"username": names},
        optional={"acls": st.just([{"group": "g"}]), "basicauth_credentials": st.just([])},
    ),
    unique_by=lambda consumer: str(consumer["username"]),
    max_size=3,
)


@given(services, services, consumers, consumers)
def test_the_changes_lead_there(before: Any, after: Any, some: Any, others: Any) -> None:
    running, wanted = document(services=before, consumers=some), document(services=after, consumers=others)
    changes = difference(running, wanted)
    reached = snapshot(rows_to_text(applied(running, changes)))
    assert difference(reached, wanted) == []


@given(services, consumers)
def test_what_is_dumped_is_what_was_loaded(some: Any, callers: Any) -> None:
    running = document(services=some, consumers=callers)
    for with_ids in (False, True):
        text = to_nested_text(running, PLUGINS, FLAVOR, with_ids=with_ids)
        assert difference(running, snapshot(text)) == []


def test_a_dump_has_no_defaults_and_no_ids() -> None:
    assert to_nested_text(snapshot(BASE), PLUGINS, FLAVOR) == (
        "_format_version: '3.0'\n"
        "services:\n- name: a\n  host: x\n  tags:\n  - one\n  routes:\n  - name: r\n    paths:\n    - /a\n"
        "  plugins:\n  - name: cors\n- name: b\n  host: x\n"
        "consumers:\n- username: u\n  keyauth_credentials:\n  - key: k\n"
    )


def test_passwords_stay_the_hashes_they_are() -> None:
    running = document(
        consumers=[{"username": "u", "basicauth_credentials": [{"username": "x", "password": "y"}]}]
    )
    text = to_nested_text(running, PLUGINS, FLAVOR)
    assert "_transform: false" in text
    assert difference(running, snapshot(text)) == []
