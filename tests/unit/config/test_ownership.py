"""What a file may change, and what it leaves alone."""

import pytest
from tests.unit.config.test_difference import document

from tollhouse.config.difference import difference
from tollhouse.config.ownership import divided

RUNNING = document(
    services=[{"name": "s", "host": "h", "routes": [{"name": "r", "paths": ["/r"]}]}],
    consumers=[{"username": "c", "tags": ["t"], "keyauth_credentials": [{"key": "k"}]}, {"username": "d"}],
)
NOTHING = document()


@pytest.mark.parametrize(
    ("made_by_hand", "deleted"),
    [
        ((), ["keyauth_credentials", "routes", "consumers", "consumers", "services"]),
        (("consumers",), ["keyauth_credentials", "routes", "services"]),
        (("keyauth_credentials",), ["routes", "consumers", "services"]),
        (("routes", "consumers"), ["keyauth_credentials"]),
    ],
)
def test_what_was_made_by_hand_stays_with_all_that_it_belongs_to(
    made_by_hand: tuple[str, ...], deleted: list[str]
) -> None:
    owners = {name: {each.id: "admin-api" for each in getattr(RUNNING, name)} for name in made_by_hand}
    changes = difference(RUNNING, NOTHING)

    division = divided(changes, owners, RUNNING)

    assert sorted(change.kind.name for change in division.changes) == sorted(deleted)
    assert len(division.changes) + len(division.left_alone) == len(changes)
    assert division.adopted == {}


def test_what_a_file_declares_becomes_its_own_as_far_as_the_tags_go() -> None:
    owners = {"consumers": {each.id: "admin-api" for each in RUNNING.consumers}}

    everything = divided(difference(RUNNING, RUNNING), owners, RUNNING)
    tagged = divided(difference(RUNNING, RUNNING, ["t"]), owners, RUNNING, ["t"])

    assert everything.adopted == {"consumers": [each.id for each in RUNNING.consumers]}
    assert tagged.adopted == {"consumers": [each.id for each in RUNNING.consumers if each.username == "c"]}
