from typing import Any

import pytest

from tollhouse.config.refusal import CHILDREN, Problems, Refused, answer, dotted, flattened_errors, message
from tollhouse.errors import ConfigError

UUID = "00000001-0000-4000-8000-000000000000"


def test_children_are_read_off_the_references() -> None:
    assert CHILDREN["services"] == {"routes": "service", "plugins": "service"}
    assert CHILDREN["upstreams"] == {"targets": "upstream"}
    assert set(CHILDREN["consumers"].values()) == {"consumer"}
    assert {"acls", "plugins", "basicauth_credentials"} < set(CHILDREN["consumers"])


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("services", 0, "routes", 1, "paths", 0), "services[0].routes[1].paths[0]"), (("a",), "a")],
)
def test_a_path_reads_like_code(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


def test_errors_are_kept_by_place_and_as_a_list() -> None:
    problems = Problems()
    assert not problems
    problems.add(
        ("services", 1), {"port": "bad", "@entity": ["odd"], "tags": [None, "long"], "x": {"y": "z"}}
    )
    problems.add(("services", 1, "routes", 0), {"paths": "bad"})
    assert problems
    assert problems.fields() == {
        "services": [
            None,
            {
                "port": "bad",
                "@entity": ["odd"],
                "tags": [None, "long"],
                "x": {"y": "z"},
                "routes": [{"paths": "bad"}],
            },
        ]
    }
    assert problems.found == [
        (("services", 1, "port"), "bad"),
        (("services", 1), "odd"),
        (("services", 1, "tags", 1), "long"),
        (("services", 1, "x", "y"), "z"),
        (("services", 1, "routes", 0, "paths"), "bad"),
    ]


def test_errors_of_different_kinds_at_one_place_are_joined() -> None:
    problems = Problems()
    problems.add(("services", 0), "already declared")
    problems.add(("services", 0), {"port": "bad", "@entity": ["odd"]})
    problems.add(("services", 0, "routes", 0), "text")
    problems.add(("routes", 0), "one")
    problems.add(("routes", 0, "plugins", 0), "two")
    assert problems.fields() == {
        "services": [{"@entity": ["already declared", "odd"], "port": "bad", "routes": ["text"]}],
        "routes": [{"@entity": ["one"], "plugins": ["two"]}],
    }


def test_places_by_name_and_by_index_make_a_map() -> None:
    problems = Problems()
    problems.add(("routes", 1), "text")
    problems.add(("routes", 0, "service"), "none", shown_at=("routes", "r"), shown=["none"])
    problems.add(("routes", 0, "x"), "nor this", shown_at=("routes", "r"), shown=["nor this"])
    assert problems.fields() == {"routes": {"2": "text", "r": ["none", "nor this"]}}


def test_the_message_is_a_lua_table() -> None:
    assert message({"services": [None, {"id": "bad"}]}) == (
        'declarative config is invalid: {services={[2]={id="bad"}}}'
    )


DOCUMENT = {
    "services": [
        {
            "id": UUID,
            "name": "s",
            "tags": ["t"],
            "routes": [{"name": "r", "paths": ["x"], "service": {"id": UUID}}],
            "plugins": [{"name": "p"}],
        },
        {"name": "", "tags": [5]},
        "text",
    ]
}


@pytest.mark.parametrize(
    ("fields", "flattened", "rest"),
    [
        (
            {
                "services": [
                    {"port": "bad", "routes": [{"paths": ["worse"]}], "plugins": [{"config": {"a": "b"}}]}
                ]
            },
            [
                {
                    "entity_type": "route",
                    "entity_name": "r",
                    "entity": {"name": "r", "paths": ["x"], "service": {"id": UUID}},
                    "errors": [{"type": "field", "field": "paths.1", "message": "worse"}],
                },
                {
                    "entity_type": "plugin",
                    "entity_name": "p",
                    "entity": {"name": "p", "service": {"id": UUID}},
                    "errors": [{"type": "field", "field": "config.a", "message": "b"}],
                },
                {
                    "entity_type": "service",
                    "entity_name": "s",
                    "entity_id": UUID,
                    "entity_tags": ["t"],
                    "entity": {"id": UUID, "name": "s", "tags": ["t"]},
                    "errors": [{"type": "field", "field": "port", "message": "bad"}],
                },
            ],
            {},
        ),
        (
            {"services": [None, "already declared"]},
            [
                {
                    "entity_type": "service",
                    "entity": {"name": "", "tags": [5]},
                    "errors": [{"type": "entity", "message": "already declared"}],
                }
            ],
            {},
        ),
        (
            {"services": [{"routes": [{"service": {"id": "bad"}}]}]},
            [
                {
                    "entity_type": "service",
                    "entity_id": UUID,
                    "entity": {"id": UUID},
                    "errors": [{"type": "field", "field": "id", "message": "bad"}],
                }
            ],
            {},
        ),
        (
            {"routes": {"r": ["no such service"]}},
            [
                {
                    "entity_type": "route",
                    "entity_name": "r",
                    "entity": {"name": "r", "paths": ["x"], "service": {"id": UUID}},
                    "errors": [{"type": "entity", "message": "no such service"}],
                }
            ],
            {},
        ),
        ({"services": [None, None, "expected a record"]}, [], {"services": {"2": "expected a record"}}),
        ({"services": "expected an array"}, [], {"services": "expected an array"}),
        ({"_format_version": "required field missing"}, [], {"_format_version": "required field missing"}),
    ],
)
def test_errors_are_listed_by_entity(
    fields: dict[str, Any], flattened: list[dict[str, Any]], rest: dict[str, Any]
) -> None:
    document = {**DOCUMENT, "routes": []} if "routes" in fields else DOCUMENT
    assert flattened_errors(fields, document) == (flattened, rest)


def test_a_text_that_could_not_be_read_has_nothing_to_flatten() -> None:
    refused = Refused([ConfigError("", "bad")], {"error": "bad"})
    assert answer(refused, flatten=True) == {
        "code": 14,
        "name": "invalid declarative configuration",
        "fields": {"error": "bad"},
        "message": 'declarative config is invalid: {error="bad"}',
    }


def test_an_empty_list_of_errors_is_an_object_as_in_lua() -> None:
    refused = Refused([ConfigError("x", "unknown field")], {"x": "unknown field"}, {"x": 1})
    assert answer(refused, flatten=True)["flattened_errors"] == {}
