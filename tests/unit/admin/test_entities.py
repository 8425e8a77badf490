"""What may be done with entities, on a real PostgreSQL: made, replaced, changed, deleted, and refused."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.entities import EC, certificate, pem
from tests.support.postgres import Postgres

from tollhouse.admin.access import Actor
from tollhouse.admin.audit import AuditTrail
from tollhouse.admin.bodies import Given
from tollhouse.admin.changes import Checker
from tollhouse.admin.entities import Entities
from tollhouse.admin.http import Failure
from tollhouse.model.entities import ENTITIES
from tollhouse.plugins import Registry
from tollhouse.stores.postgres import migrations
from tollhouse.stores.postgres.store import PostgresStore

NOW = 1_700_000_000.25
ME = Actor("me")
FLAVOR = "traditional_compatible"
CONSUMERS, SERVICES, ROUTES = ENTITIES["consumers"], ENTITIES["services"], ENTITIES["routes"]
CERTIFICATES = ENTITIES["certificates"]
PLUGINS, KEYS, UPSTREAMS = ENTITIES["plugins"], ENTITIES["keyauth_credentials"], ENTITIES["upstreams"]


@pytest.fixture
async def entities(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Entities]:
    server = postgres.server(await postgres.new_database())
    await migrations.bootstrap(server)
    store = PostgresStore(server)
    plugins = Registry()
    audit = AuditTrail(tmp_path / "audit.jsonl", plugins, FLAVOR)
    yield Entities(store, Checker(plugins, FLAVOR), audit, lambda: NOW)
    await store.close()


def given(**values: Any) -> Given:
    return Given(values)


async def refused(work: Any) -> Mapping[str, Any]:
    """The body of the answer to what fails, with its status."""
    with pytest.raises(Failure) as caught:
        await work
    body: Mapping[str, Any] = caught.value.answer.body
    return {"status": caught.value.answer.status, **body}


async def test_what_is_made_can_be_read_by_id_and_by_name(entities: Entities) -> None:
    made = await entities.create(ME, SERVICES, given(name="s", url="http://a.test/x"), ())

    assert made["host"] == "a.test"
    assert made["path"] == "/x"
    assert made["created_at"] == made["updated_at"] == int(NOW)
    assert await entities.get(SERVICES, "s", ()) == made
    assert await entities.get(SERVICES, made["id"], ()) == made


async def test_a_name_is_taken_once(entities: Entities) -> None:
    await entities.create(ME, CONSUMERS, given(username="alice"), ())

    assert await refused(entities.create(ME, CONSUMERS, given(username="alice"), ())) == {
        "status": 409,
        "code": 5,
        "name": "unique constraint violation",
        "message": "UNIQUE violation detected on '{username=\"alice\"}'",
        "fields": {"username": "alice"},
    }


async def test_a_foreign_key_has_to_lead_somewhere(entities: Entities) -> None:
    nowhere = {"id": "00000000-0000-4000-8000-000000000009"}
    body = await refused(entities.create(ME, ROUTES, given(paths=["/a"], service=nowhere), ()))

    assert (body["status"], body["code"]) == (400, 4)
    assert body["fields"] == {"service": nowhere}


async def test_a_foreign_key_may_be_a_name(entities: Entities) -> None:
    service = await entities.create(ME, SERVICES, given(name="s", host="a.test"), ())
    route = await entities.create(ME, ROUTES, given(paths=["/a"], service={"name": "s"}), ())
    body = await refused(entities.create(ME, ROUTES, given(paths=["/a"], service={"name": "t"}), ()))

    assert route["service"] == {"id": service["id"]}
    assert (body["status"], body["code"]) == (400, 13)


async def test_put_makes_and_then_replaces_whole(entities: Entities) -> None:
    first = await entities.upsert(ME, SERVICES, "s", given(host="a.test", retries=1), ())
    again = await entities.upsert(ME, SERVICES, "s", given(host="b.test"), ())

    assert first["name"] == again["name"] == "s"
    assert again["id"] == first["id"]
    assert (again["host"], again["retries"]) == ("b.test", 5)


async def test_put_by_id_gives_that_id(entities: Entities) -> None:
    id_ = "00000000-0000-4000-8000-000000000007"

    assert (await entities.upsert(ME, CONSUMERS, id_, given(username="u"), ()))["id"] == id_
    assert (await entities.upsert(ME, CONSUMERS, id_, given(username="v"), ()))["username"] == "v"


async def test_patch_changes_what_it_names_and_null_takes_away(entities: Entities) -> None:
    before = await entities.create(ME, SERVICES, given(name="s", url="http://a.test/x", tags=["t"]), ())
    after = await entities.update(ME, SERVICES, "s", given(retries=1, tags=None), ())

    assert after == {**before, "retries": 1, "tags": None}
    assert (await entities.update(ME, SERVICES, "s", given(url="https://b.test"), ()))["path"] is None


async def test_patch_merges_records_and_replaces_lists(entities: Entities) -> None:
    config = {"minute": 5, "redis": {"host": "r.test", "port": 1}}
    await entities.create(ME, PLUGINS, given(name="rate-limiting", instance_name="p", config=config), ())
    change = {"hour": 9, "redis_host": "other.test"}
    changed = await entities.update(ME, PLUGINS, "p", given(config=change, protocols=["http"]), ())

    assert (changed["config"]["minute"], changed["config"]["hour"]) == (5, 9)
    assert changed["config"]["redis"]["host"] == changed["config"]["redis_host"] == "other.test"
    assert changed["config"]["redis"]["port"] == 1
    assert changed["protocols"] == ["http"]


async def test_patch_keeps_an_algorithm_that_needs_no_hash(entities: Entities) -> None:
    await entities.create(ME, UPSTREAMS, given(name="u"), ())
    change = given(algorithm="least-connections", healthchecks={"threshold": 50})
    changed = await entities.update(ME, UPSTREAMS, "u", change, ())

    assert (changed["algorithm"], changed["hash_on"]) == ("least-connections", "none")
    assert changed["healthchecks"]["threshold"] == 50
    assert changed["healthchecks"]["active"]["http_path"] == "/"


async def test_patch_of_what_is_not_there_names_it(entities: Entities) -> None:
    body = await refused(entities.update(ME, SERVICES, "none", given(retries=1), ()))

    assert (body["status"], body["code"], body["fields"]) == (404, 6, {"name": "none"})


async def test_patch_cannot_unset_what_has_to_be_there(entities: Entities) -> None:
    await entities.create(ME, CONSUMERS, given(username="u"), ())
    body = await refused(entities.update(ME, CONSUMERS, "u", given(username=None), ()))

    assert body["fields"]["@entity"][0].startswith("when updating, at least one of these fields")


async def test_what_others_point_to_stays_until_they_are_gone(entities: Entities) -> None:
    await entities.create(ME, SERVICES, given(name="s", host="a.test"), ())
    above = (("service", SERVICES, "s"),)
    route = await entities.create(ME, ROUTES, given(name="r", paths=["/a"]), above)
    body = await refused(entities.delete(ME, SERVICES, "s", ()))

    assert body["message"] == "an existing 'routes' entity references this 'services' entity"
    await entities.delete(ME, ROUTES, route["id"], above)
    assert (await refused(entities.delete(ME, ROUTES, route["id"], above)))["status"] == 404
    await entities.delete(ME, SERVICES, "s", ())
    await entities.delete(ME, SERVICES, "s", ())
    assert (await refused(entities.get(SERVICES, "s", ())))["status"] == 404


async def test_what_belongs_to_a_consumer_goes_with_it(entities: Entities) -> None:
    await entities.create(ME, CONSUMERS, given(username="alice"), ())
    above = (("consumer", CONSUMERS, "alice"),)
    key = await entities.create(ME, KEYS, given(ttl=60), above)
    await entities.create(ME, ENTITIES["acls"], given(group="g"), above)

    assert len(key["key"]) == 32
    assert key["ttl"] == 60
    assert (await entities.get(ENTITIES["acls"], "g", above))["group"] == "g"
    await entities.delete(ME, CONSUMERS, "alice", ())
    assert (await entities.page(KEYS, 10, None, None)).rows == []


async def test_a_password_is_kept_as_a_hash_and_a_change_beside_it_leaves_it(entities: Entities) -> None:
    await entities.create(ME, CONSUMERS, given(username="alice"), ())
    kind = ENTITIES["basicauth_credentials"]
    above = (("consumer", CONSUMERS, "alice"),)
    made = await entities.create(ME, kind, given(username="a", password="p"), above)
    changed = await entities.update(ME, kind, "a", given(tags=["t"]), above)

    assert made["password"] != "p"
    assert changed["password"] == made["password"]
    assert (await entities.update(ME, kind, "a", given(password="q"), above))["password"] != made["password"]


async def test_a_hashed_password_does_not_go_to_another_consumer(entities: Entities) -> None:
    other = await entities.create(ME, CONSUMERS, given(username="bob"), ())
    await entities.create(ME, CONSUMERS, given(username="alice"), ())
    kind, to_bob = ENTITIES["basicauth_credentials"], {"consumer": {"id": other["id"]}}
    above = (("consumer", CONSUMERS, "alice"),)
    await entities.create(ME, kind, given(username="a", password="p"), above)
    body = await refused(entities.update(ME, kind, "a", given(**to_bob), ()))

    text = "all or none of these fields must be set: 'password', 'consumer.id'"
    assert body["message"] == f"schema violation ({text})"
    moved = await entities.update(ME, kind, "a", given(**to_bob, password="p"), ())
    assert moved["consumer"] == to_bob["consumer"]


async def test_a_target_is_found_with_and_without_its_port(entities: Entities) -> None:
    await entities.create(ME, UPSTREAMS, given(name="u"), ())
    above = (("upstream", UPSTREAMS, "u"),)
    targets = ENTITIES["targets"]
    made = await entities.create(ME, targets, given(target="10.0.0.1"), above)

    assert made["target"] == "10.0.0.1:8000"
    assert made["created_at"] == NOW
    assert await entities.get(targets, "10.0.0.1", above) == made
    assert (await refused(entities.create(ME, targets, given(target="10.0.0.1:8000"), above)))["code"] == 5
    with pytest.raises(Failure):
        await entities.update(ME, targets, "10.0.0.9:1", given(weight=1), above)
    with pytest.raises(Failure):
        await entities.delete(ME, targets, "10.0.0.9:1", above)
    body = await refused(entities.create(ME, targets, given(target="a b"), above))
    assert body["fields"] == {"target": "Invalid target; not a valid hostname or ip address"}


async def test_what_is_unique_together_is_named_without_what_kong_does_not_have(entities: Entities) -> None:
    await entities.create(ME, PLUGINS, given(name="cors"), ())

    body = await refused(entities.create(ME, PLUGINS, given(name="cors"), ()))

    assert body["message"] == (
        "UNIQUE violation detected on '{consumer=null,name=\"cors\",route=null,service=null}'"
    )
    assert body["fields"] == {"name": "cors", "route": None, "service": None, "consumer": None}


async def test_a_certificate_is_made_by_a_name_that_nobody_has(entities: Entities) -> None:
    values = {"cert": certificate(EC), "key": pem(EC)}
    made = await entities.upsert(ME, CERTIFICATES, "a.test", given(**values, snis=["b.test"]), ())
    again = await entities.upsert(ME, CERTIFICATES, "a.test", given(**values, tags=["t"]), ())

    assert made["snis"] == ["a.test", "b.test"]
    assert again["snis"] == ["a.test"]
    assert (again["id"], again["tags"]) == (made["id"], ["t"])
    unknown = await refused(entities.update(ME, CERTIFICATES, "c.test", given(tags=[]), ()))
    assert unknown == {"status": 404, "message": "SNI not found"}
    await entities.delete(ME, CERTIFICATES, "a.test", ())
    assert await entities.all(ENTITIES["snis"], {}) == []


@pytest.mark.parametrize(
    ("service", "name", "fields"),
    [
        (
            {"name": "none"},
            "foreign keys unresolved",
            {
                "name": "the foreign key cannot be resolved with '{name=\"none\"}' "
                "for an existing 'services' entity"
            },
        ),
        ({"name": None}, "schema violation", {"id": "missing primary key"}),
        ({"retries": 2}, "schema violation", {"id": "missing primary key"}),
        ({"retries": "two"}, "schema violation", {"retries": "expected an integer"}),
    ],
)
async def test_a_reference_says_to_what(
    entities: Entities, service: Mapping[str, Any], name: str, fields: Mapping[str, Any]
) -> None:
    body = await refused(entities.create(ME, ROUTES, given(paths=["/a"], service=service), ()))

    assert (body["status"], body["name"], body["fields"]) == (400, name, {"service": fields})


async def test_an_id_is_taken_once(entities: Entities) -> None:
    made = await entities.create(ME, CONSUMERS, given(username="alice"), ())
    body = await refused(entities.create(ME, CONSUMERS, given(username="bob", id=made["id"]), ()))

    assert (body["status"], body["code"], body["fields"]) == (400, 3, {"id": made["id"]})
    assert body["message"] == f"primary key violation on key '{{id=\"{made['id']}\"}}'"


async def test_nothing_is_called_what_it_cannot_be_called(entities: Entities) -> None:
    for work in (
        entities.get(UPSTREAMS, "10.0.0.1", ()),
        entities.upsert(ME, UPSTREAMS, "10.0.0.1", given(), ()),
        entities.delete(ME, UPSTREAMS, "10.0.0.1", ()),
    ):
        assert await refused(work) == {
            "status": 400,
            "code": 10,
            "name": "invalid unique name",
            "message": "Invalid name ('10.0.0.1'); no ip addresses allowed",
        }


async def test_a_plugin_has_to_speak_what_its_route_speaks(entities: Entities) -> None:
    await entities.create(ME, ROUTES, given(name="r", paths=["/a"], protocols=["http"]), ())
    plugin = given(name="key-auth", protocols=["grpc"])
    body = await refused(entities.create(ME, PLUGINS, plugin, (("route", ROUTES, "r"),)))

    assert body["fields"] == {"protocols": "must match the associated route's protocols"}


async def test_an_operator_changes_only_what_is_theirs(entities: Entities) -> None:
    team = Actor("team", "operator", frozenset({"mine"}))
    await entities.create(ME, CONSUMERS, given(username="other"), ())
    await entities.create(team, CONSUMERS, given(username="own", tags=["mine", "x"]), ())

    assert (await refused(entities.delete(team, CONSUMERS, "other", ())))["status"] == 403
    assert (await refused(entities.update(team, CONSUMERS, "own", given(tags=["x"]), ())))["status"] == 403
    await entities.delete(team, CONSUMERS, "own", ())
    assert (await entities.get(CONSUMERS, "other", ()))["username"] == "other"


async def test_the_audit_trail_has_both_states_but_no_secret(entities: Entities, tmp_path: Path) -> None:
    await entities.create(ME, CONSUMERS, given(username="alice"), ())
    await entities.create(ME, KEYS, given(key="top-secret"), (("consumer", CONSUMERS, "alice"),))
    await entities.update(ME, CONSUMERS, "alice", given(custom_id="c"), ())
    text = (tmp_path / "audit.jsonl").read_text()

    assert "top-secret" not in text
    line = json.loads(text.splitlines()[-1])
    assert (line["by"], line["action"], line["entity"]) == ("me", "update", "consumers")
    assert (line["before"]["custom_id"], line["after"]["custom_id"]) == (None, "c")


async def test_a_change_that_cannot_be_noted_does_not_happen(entities: Entities, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(OSError, match=r"audit\.jsonl"):
        await entities.create(ME, CONSUMERS, given(username="alice"), ())

    assert (await entities.page(CONSUMERS, 10, None, None)).rows == []


async def test_deprecated_names_of_settings_are_logged(
    entities: Entities, caplog: pytest.LogCaptureFixture
) -> None:
    text = "rate-limiting: config.redis_host is deprecated, please use config.redis.host instead"
    config = {"minute": 1, "policy": "redis", "redis_host": "r.test"}
    made = await entities.create(ME, PLUGINS, given(name="rate-limiting", config=config), ())
    assert [record.message for record in caplog.records] == [f"{text} (deprecated after 4.0)"]
    await entities.update(ME, PLUGINS, made["id"], given(config={"redis_host": "s.test"}), ())
    assert len(caplog.records) == 2
