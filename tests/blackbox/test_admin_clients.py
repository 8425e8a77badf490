"""Tools for Kong's Admin API against a node with a database: aio-kong, and what decK sends."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kong.client import Kong
from kong.components import KongError
from tests.support.gateway import Gateway, Reply
from tests.support.postgres import Postgres
from tests.support.upstream import Upstream

from tollhouse.stores.postgres import migrations

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    postgres = Postgres()
    try:
        await postgres.start()
        database = await postgres.new_database()
        await migrations.bootstrap(postgres.server(database))
        gateway = await Gateway.start(None, environment=postgres.environment(database))
        try:
            yield gateway
        finally:
            await gateway.stop()
    finally:
        postgres.stop()


@pytest.fixture
async def kong(node: Gateway) -> AsyncIterator[Kong]:
    host, port = node.admin
    async with Kong(f"http://{host}:{port}") as client:
        yield client


async def test_aio_kong_makes_a_route_that_is_served(node: Gateway, kong: Kong, upstream: Upstream) -> None:
    service = await kong.services.create(name="aio", host="127.0.0.1", port=upstream.port)
    route = await service.routes.create(paths=["/aio"], name="aio-route")

    assert [each.id async for each in service.routes.paginate()] == [route.id]
    assert (await kong.services.get("aio")).id == service.id
    while (await node.request("GET", "/aio")).status == 404:
        assert node.process.returncode is None
    assert (await node.request("GET", "/aio")).status == 200
    await kong.services.update("aio", retries=2)
    assert (await kong.services.get("aio")).data["retries"] == 2
    await kong.services.delete("aio")  # the client deletes its routes first
    assert [each.name async for each in kong.services.paginate()] == []


async def test_aio_kong_gives_a_consumer_credentials(kong: Kong) -> None:
    consumer = await kong.consumers.create(username="aio-consumer")
    key = await consumer.keyauths.create(key="aio-key")
    await consumer.acls.create(group="aio-group")

    assert key.data["consumer"] == {"id": consumer.id}
    assert [each.data["group"] async for each in consumer.acls.paginate()] == ["aio-group"]
    with pytest.raises(KongError, match="UNIQUE violation"):
        await kong.consumers.create(username="aio-consumer")


async def test_aio_kong_applies_a_whole_configuration(kong: Kong) -> None:
    wanted: dict[str, Any] = {
        "services": [
            {
                "name": "applied",
                "host": "a.test",
                "routes": [{"name": "applied-route", "paths": ["/applied"]}],
                "plugins": [{"name": "cors"}],
            }
        ]
    }
    await kong.apply_json(wanted)
    await kong.apply_json(wanted)

    service = await kong.services.get("applied")
    assert [each.name async for each in service.routes.paginate()] == ["applied-route"]
    assert [each.data["name"] async for each in service.plugins.paginate()] == ["cors"]


async def page_at(node: Gateway, path: str) -> dict[str, Any]:
    page = (await sent(node, "GET", path)).json()
    assert isinstance(page, dict)
    return page


async def sent(node: Gateway, method: str, path: str, /, **values: Any) -> Reply:
    return await node.admin_request(method, path, JSON, json.dumps(values).encode() if values else b"")


async def test_an_exchange_as_decks(node: Gateway) -> None:
    """decK asks for the version, reads everything page by page, then puts entities under ids of its own."""
    root = (await sent(node, "GET", "/")).json()
    assert isinstance(root, dict)
    assert root["version"] == "3.9.1"
    assert root["configuration"]["database"] == "postgres"
    ids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(6)]
    tags = ["deck"]
    puts: list[tuple[str, dict[str, Any]]] = [
        (f"/services/{ids[0]}", {"name": "deck", "host": "a.test", "tags": tags}),
        (f"/routes/{ids[1]}", {"name": "deck", "paths": ["/deck"], "service": {"id": ids[0]}, "tags": tags}),
        (f"/consumers/{ids[2]}", {"username": "deck", "tags": tags}),
        (f"/consumers/{ids[2]}/key-auth/{ids[3]}", {"key": "deck-key", "tags": tags}),
        (f"/consumer_groups/{ids[4]}", {"name": "deck", "tags": tags}),
        (f"/plugins/{ids[5]}", {"name": "rate-limiting", "config": {"minute": 5}, "tags": tags}),
    ]
    for path, values in puts:
        reply = await sent(node, "PUT", path, id=path.rpartition("/")[2], **values)
        assert reply.status == 200, reply.body
    added = await sent(node, "POST", f"/consumer_groups/{ids[4]}/consumers", consumer=ids[2])
    assert added.status == 201, added.body

    for path, count in (
        ("/services", 1),
        ("/routes", 1),
        ("/consumers", 1),
        ("/key-auths", 1),
        ("/plugins", 1),
    ):
        page = await page_at(node, f"{path}?size=1000&tags=deck")
        assert (len(page["data"]), page["next"]) == (count, None), path
        assert (await sent(node, "PUT", f"{path}/{page['data'][0]['id']}", **page["data"][0])).status == 200
    for path, _ in reversed(puts):
        assert (await sent(node, "DELETE", path)).status == 204


async def test_what_is_put_behind_a_route_is_its_service(node: Gateway) -> None:
    assert (await sent(node, "POST", "/routes", name="alone", paths=["/alone"])).status == 201
    made = (await sent(node, "PUT", "/routes/alone/service", host="a.test")).json()
    again = (await sent(node, "PUT", "/routes/alone/service", host="b.test")).json()

    assert isinstance(made, dict)
    assert isinstance(again, dict)
    assert (made["id"], made["host"], again["host"]) == (again["id"], "a.test", "b.test")
    assert (await sent(node, "DELETE", "/routes/alone/service")).status == 405
    assert (await node.admin_request("PATCH", "/routes/alone", JSON)).json() == {
        "message": "Cannot parse JSON body"
    }
    for path in ("/routes/alone", f"/services/{made['id']}"):
        assert (await sent(node, "DELETE", path)).status == 204


async def _worker(node: Gateway) -> int | None:
    """The pid of the node's worker, unless there is none at the moment."""
    status = (await sent(node, "GET", "/status")).json()
    assert isinstance(status, dict)
    return next((worker["pid"] for worker in status["memory"]["workers_lua_vms"]), None)


async def test_a_worker_that_comes_anew_says_as_much_as_the_one_before(node: Gateway) -> None:
    def told() -> int:
        return sum(f" {fresh}#" in line and "serving configuration" in line for line in node.errors)

    assert (await sent(node, "PUT", "/debug/node/log-level/error")).status == 200
    former = await _worker(node)
    assert former is not None
    os.kill(former, signal.SIGKILL)
    async with asyncio.timeout(20):
        while (fresh := await _worker(node)) in (former, None):
            await asyncio.sleep(0.05)
    before = told()

    assert (await sent(node, "POST", "/consumers", username="quiet")).status == 201
    assert (await sent(node, "PUT", "/debug/node/log-level/info")).status == 200
    assert (await sent(node, "POST", "/consumers", username="told")).status == 201
    async with asyncio.timeout(20):
        while told() == before:
            await asyncio.sleep(0.05)
    assert told() == before + 1


async def test_pages_lead_to_one_another(node: Gateway) -> None:
    for number in range(5):
        assert (await sent(node, "POST", "/consumers", username=f"p{number}", tags=["paged"])).status == 201
    seen, path = [], "/consumers?size=2&tags=paged"
    while path:
        page = await page_at(node, path)
        seen += [row["username"] for row in page["data"]]
        path = page["next"]

    assert sorted(seen) == [f"p{number}" for number in range(5)]


async def test_a_form_means_what_the_same_json_means(node: Gateway) -> None:
    body = b"name=form&paths[]=/form&paths[]=/f&protocols=http&headers.x-a[1]=1&strip_path=false"
    body += b"&regex_priority=3"
    made = await node.admin_request("POST", "/routes", FORM, body)

    assert made.status == 201, made.body
    route = made.json()
    assert isinstance(route, dict)
    assert (route["paths"], route["protocols"]) == (["/form", "/f"], ["http"])
    assert (route["headers"], route["strip_path"], route["regex_priority"]) == ({"x-a": ["1"]}, False, 3)
    emptied = await node.admin_request("PATCH", "/routes/form", FORM, b"headers=")
    assert emptied.json()["headers"] is None  # type: ignore[index]
    assert (await sent(node, "GET", "/tags/paged")).status == 200
    many = "&".join(["paths[]=/a"] * 1001).encode()
    for reply in (
        await node.admin_request("POST", "/routes", FORM, many),
        await node.admin_request("GET", f"/routes?{'&'.join(['a=1'] * 1001)}"),
    ):
        assert (reply.status, reply.json()) == (400, {"message": "Too many arguments"})
    assert (await sent(node, "PUT", "/debug/node/log-level/debug")).json() == {"message": "log level changed"}
