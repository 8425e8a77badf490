from tollhouse.model.consumer import Consumer
from tollhouse.model.credentials import Credential, KeyAuthCredential
from tollhouse.model.entities import ENTITIES
from tollhouse.model.schema import Ref

UUID = "00000001-0000-4000-8000-000000000000"


def test_a_consumer_needs_a_name_or_an_id_of_its_own() -> None:
    check = ENTITIES["consumers"].schema.check
    assert check({})[1] == {
        "@entity": ["at least one of these fields must be non-empty: 'custom_id', 'username'"]
    }
    assert check({"username": "a"})[1] == {}
    assert check({"custom_id": "any thing/at all"})[1] == {}
    assert check({"username": ""})[1] == {
        "username": "length must be at least 1",
        "@entity": ["at least one of these fields must be non-empty: 'custom_id', 'username'"],
    }


def test_a_key_belongs_to_a_consumer() -> None:
    check = ENTITIES["keyauth_credentials"].schema.check
    assert check({"key": "k"})[1] == {"consumer": "required field missing"}
    values, errors = check({"key": "k", "consumer": {"id": UUID}, "ttl": 60})
    assert errors == {}
    assert values["ttl"] == 60


def test_a_key_is_known_to_upstreams_by_its_id() -> None:
    credential: Credential = KeyAuthCredential(id=UUID, key="secret", consumer=Ref(UUID))
    assert credential.identifier == UUID


def test_consumers_are_values() -> None:
    assert Consumer(id=UUID, username="a") == Consumer(id=UUID, username="a")
