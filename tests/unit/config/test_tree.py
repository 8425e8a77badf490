from typing import Any

from tollhouse.config.refusal import Problems
from tollhouse.config.tree import Tree

UUID = "00000001-0000-4000-8000-000000000000"


def tree(document: dict[str, Any]) -> tuple[Tree, Problems]:
    problems = Problems()
    return Tree(document, problems), problems


def test_every_entity_is_found_with_its_path_and_parent() -> None:
    nested = {"services": [{"name": "s", "routes": [{}, {"name": "r", "plugins": [{"name": "p"}]}]}]}
    found, problems = tree(nested)
    assert not problems
    plugin = found.entries["plugins"][0]
    assert plugin.path == ("services", 0, "routes", 1, "plugins", 0)
    assert plugin.field == "route"
    assert plugin.parent is found.entries["routes"][1]
    assert [entry.path for entry in found.every_entry()] == [
        ("services", 0),
        ("services", 0, "routes", 0),
        ("services", 0, "routes", 1),
        ("services", 0, "routes", 1, "plugins", 0),
    ]


def test_derived_ids_are_shown_in_a_copy_of_the_document() -> None:
    document: dict[str, Any] = {"services": [{"name": "s", "routes": [{"id": UUID}]}], "_comment": "x"}
    shown = tree(document)[0].with_ids(document)
    service = shown["services"][0]
    assert len(service["id"]) == 36
    assert service["routes"] == [{"id": UUID}]
    assert document == {"services": [{"name": "s", "routes": [{"id": UUID}]}], "_comment": "x"}


def test_a_given_id_is_kept_and_a_null_one_is_not() -> None:
    found, _ = tree({"services": [{"id": UUID}, {"id": None, "name": "s"}]})
    ids = [entry.id for entry in found.entries["services"]]
    assert ids[0] == UUID
    assert len(ids[1]) == 36


def test_names_become_ids_and_the_input_stays() -> None:
    raw = {"name": "r", "service": "s"}
    found, problems = tree({"services": [{"id": UUID, "name": "s"}], "routes": [raw]})
    assert found.with_references(found.entries["routes"][0])["service"] == {"id": UUID}
    assert raw == {"name": "r", "service": "s"}
    assert not problems


def test_a_name_goes_before_an_id_of_the_same_text() -> None:
    other = "00000002-0000-4000-8000-000000000000"
    found, _ = tree({"consumers": [{"id": UUID, "username": other}, {"id": other, "username": "x"}]})
    (entry,) = tree({"plugins": [{"name": "p", "consumer": other}]})[0].entries["plugins"]
    assert found.with_references(entry)["consumer"] == {"id": UUID}


def test_two_of_one_name_or_id_are_told_apart_from_two_of_one_unique_value() -> None:
    found, problems = tree(
        {
            "consumers": [
                {"username": "a", "custom_id": "c"},
                {"username": "a"},
                {"username": "b", "id": UUID, "custom_id": "c"},
                {"username": "d", "id": UUID},
            ]
        }
    )
    found.check_unique_fields()
    start = "uniqueness violation: 'consumers' entity with"
    assert problems.found == [
        (("consumers", 1), f"{start} username set to 'a' already declared"),
        (("consumers", 3), f"{start} primary key set to '{UUID}' already declared"),
        (("consumers", 2), f"{start} custom_id set to 'c' already declared"),
    ]
