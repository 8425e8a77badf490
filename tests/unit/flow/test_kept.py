"""A worker that takes over changes serves the same as one that is given the whole configuration."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tollhouse.config.declarative import load
from tollhouse.config.settings import Settings, from_environment
from tollhouse.flow.backend import Backend, Fixed, Named
from tollhouse.flow.balanced import Balanced
from tollhouse.flow.plan import Plan
from tollhouse.flow.snapshot import CompiledSnapshot
from tollhouse.model.changes import changes_between, decode_changes, encode_changes
from tollhouse.model.snapshot import Snapshot, with_unchanged
from tollhouse.node import Identity, Node
from tollhouse.plugins import Registry
from tollhouse.stores.memory import NodeMemory
from tollhouse.wire.headers import Headers

FLAVORS = ("traditional_compatible", "traditional", "expressions")
NUMBERS = range(3)
PATHS = ("/a", "/a/b", "/c", "~/d[0-9]+$")
HOSTS = ("one.test", "*.two.test")
ASKED = [
    (method, path, host)
    for method in ("GET", "PUT")
    for path in ("/a", "/a/b/c", "/c", "/d7", "/")
    for host in ("one.test", "x.two.test", "")
]


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, name))


def _named(kind: str, number: int, **values: Any) -> dict[str, Any]:
    shown = {name: value for name, value in values.items() if value is not None}
    return {"id": _id(f"{kind}{number}"), **shown}


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _ref(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from([_id(f"{kind}{number}") for number in NUMBERS])


def _kind(name: str, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some entities of a kind, always under the same ids."""

    def made(chosen: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
        return [_named(name, number, **values) for number, values in chosen.items()]

    return st.dictionaries(st.sampled_from(NUMBERS), st.fixed_dictionaries(fields)).map(made)


_PLUGINS: dict[str, list[dict[str, Any]]] = {
    "request-termination": [{"status_code": 418}, {"status_code": 503}],
    "key-auth": [{"key_names": ["k"]}, {"key_names": ["apikey"]}],
    "correlation-id": [{"header_name": "A"}, {"header_name": "B"}],
}
_UNBOUND = dict.fromkeys(("route", "service", "consumer", "consumer_group"))
_SCOPES = st.fixed_dictionaries(
    {
        "route": _maybe(_ref("routes")),
        "service": _maybe(_ref("services")),
        "consumer": _maybe(_ref("consumers")),
        "consumer_group": st.none(),
    }
) | st.fixed_dictionaries({**dict.fromkeys(_UNBOUND, st.none()), "consumer_group": _ref("consumer_groups")})
_INSTANCES = st.sampled_from([(name, config) for name, configs in _PLUGINS.items() for config in configs])


@st.composite
def _plugins(draw: st.DrawFn) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (name, config), scope in draw(st.lists(st.tuples(_INSTANCES, _SCOPES), max_size=4)):
        if name == "key-auth":
            scope = {**scope, "consumer": None, "consumer_group": None}  # it may not be bound to them
        where = {field: id_ for field, id_ in scope.items() if id_ is not None}
        place = json.dumps([name, where], sort_keys=True)
        found[place] = {"id": _id(place), "name": name, "config": config, **where}
    return list(found.values())


_DOCUMENTS = st.fixed_dictionaries(
    {
        "upstreams": _kind("upstreams", name=st.sampled_from(["u.test"])).map(lambda found: found[:1]),
        "targets": _kind("targets", upstream=_ref("upstreams"), weight=st.sampled_from([1, 100])),
        "services": _kind(
            "services",
            host=st.sampled_from(["127.0.0.1", "u.test", "name.test"]),
            path=_maybe(st.just("/p")),
            enabled=st.booleans(),
            protocol=st.sampled_from(["http", "https"]),
        ),
        "routes": _kind(
            "routes",
            service=_maybe(_ref("services")),
            paths=st.lists(st.sampled_from(PATHS), min_size=1, max_size=2, unique=True),
            hosts=_maybe(st.lists(st.sampled_from(HOSTS), min_size=1, unique=True)),
            methods=_maybe(st.just(["PUT"])),
            preserve_host=st.booleans(),
        ),
        "consumers": _kind("consumers", tags=st.sampled_from([["a"], ["b"]])),
        "consumer_groups": _kind("consumer_groups", tags=st.sampled_from([["a"], ["b"]])),
        "consumer_group_consumers": _kind(
            "consumer_group_consumers", consumer=_ref("consumers"), consumer_group=_ref("consumer_groups")
        ),
        "keyauth_credentials": _kind("keyauth_credentials", consumer=_ref("consumers")),
        "acls": _kind("acls", consumer=_ref("consumers"), group=st.sampled_from(["x", "y"])),
        "plugins": _plugins(),
    }
)


def _whole(document: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The document without what would be refused: references to what is not there, the same twice."""
    there: set[str] = set()
    kept: dict[str, Any] = {"_format_version": "3.0"}
    for kind, entities in document.items():
        found: dict[str, Any] = {}
        for number, entity in enumerate(entities):
            refs = {field: id_ for field, id_ in entity.items() if field in (*_UNBOUND, "upstream")}
            if there.issuperset(refs.values()):
                shown = {field: {"id": id_} for field, id_ in refs.items()}
                unique = _unique(kind, entity, number)
                found[json.dumps(_told_apart(kind, entity))] = {**entity, **shown, **unique}
        kept[kind] = list(found.values())
        there.update(entity["id"] for entity in kept[kind])
    return kept


def _unique(kind: str, entity: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Values that only one entity may have; they move among entities with their order."""
    match kind:
        case "consumers":
            return {"username": f"user-{number}"}
        case "consumer_groups":
            return {"name": f"group-{number}"}
        case "keyauth_credentials":
            return {"key": f"key-{number}-ä"}
        case "targets":
            return {"target": f"127.0.0.{number + 1}:80"}
        case _:
            return {}


def _told_apart(kind: str, entity: Mapping[str, Any]) -> Any:
    match kind:
        case "consumer_group_consumers":
            return [entity["consumer"], entity["consumer_group"]]
        case "acls":
            return [entity["consumer"], entity["group"]]
        case _:
            return entity["id"]


def _read(document: Mapping[str, Any], before: Snapshot | None, now: int, flavor: str) -> Snapshot:
    text = json.dumps(_whole(document))
    snapshot = load(text, file=None, plugins=Registry(), flavor=flavor, now=now)
    return snapshot if before is None else with_unchanged(snapshot, before, now)


@pytest.fixture(params=FLAVORS)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    prefix = str(tmp_path_factory.mktemp("prefix"))
    return from_environment({"KONG_ROUTER_FLAVOR": request.param, "KONG_PREFIX": prefix})


def _node(settings: Settings, memory: NodeMemory) -> Node:
    return Node(settings, Identity("node", "host", "workspace", None), 0, memory, alone=True)


@hypothesis_settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(documents=st.lists(_DOCUMENTS, min_size=2, max_size=5))
def test_any_changes_lead_to_what_the_whole_configuration_does(
    settings: Settings, memory: NodeMemory, documents: list[dict[str, Any]]
) -> None:
    async def compare() -> None:
        node = _node(settings, memory)
        snapshot: Snapshot | None = None
        for now, document in enumerate(documents, 1):
            after = _read(document, snapshot, now, settings.router_flavor)
            if snapshot is None:
                await node.apply(after)
            else:
                changes = decode_changes(encode_changes(changes_between(snapshot, after)), snapshot)
                after = changes.after()
                await node.apply(after, changes)
            fresh = _node(settings, memory)
            await fresh.apply(after)
            assert list(_served(node, after)) == list(_served(fresh, after))
            snapshot = after
            await fresh.close()
        await node.close()

    asyncio.run(compare())


@pytest.fixture(scope="module")
def memory() -> NodeMemory:
    return NodeMemory.new(1024, 1 << 20)


def _served(node: Node, snapshot: Snapshot) -> Iterator[Any]:
    """What a worker does, as far as its configuration says."""
    assert node.served is not None
    compiled: CompiledSnapshot = node.served
    yield compiled.hash, _plugins_of(compiled.unmatched)
    for method, path, host in ASKED:
        for scheme in ("http", "https"):
            found = compiled.router.find(method, path, host, Headers.new([]), scheme, 80, None)
            if found is None:
                yield None
                continue
            route = compiled.routes[found.route.id]
            yield route.route, route.service, found.prefix, found.captures
            yield _plugins_of(route.plan), _backend(route.plan.backend), route.plan.preserve_host
            yield route.upstream_path(found.prefix, path)
            if route.plan.scoped is not None:
                for consumer in snapshot.consumers:
                    yield [_shown(plugin) for plugin in route.plan.scoped.effective(consumer.id)]
    yield from _known(node, snapshot)


def _known(node: Node, snapshot: Snapshot) -> Iterator[Any]:
    directory = node.directory
    for number in NUMBERS:
        yield directory.consumer(f"user-{number}"), directory.consumer(_id(f"consumers{number}"))
        presented = f"key-{number}-ä".encode().decode("latin-1")
        caller = directory.caller("keyauth_credentials", presented)
        yield (caller.consumer, caller.credential) if caller is not None else None
        yield directory.groups(_id(f"consumers{number}"))
        yield directory.consumer_groups(_id(f"consumers{number}"))


def _plugins_of(plan: Plan) -> list[Any]:
    return [_shown(plugin) for plugin in plan.plugins]


def _shown(plugin: Any) -> Any:
    return plugin.name, plugin.id, plugin.scope, plugin.conf


def _backend(backend: Backend | None) -> Any:
    match backend:
        case None:
            return None
        case Backend(Fixed(endpoint), _, retries, timeouts):
            return endpoint.pool.address, endpoint.host, retries, timeouts
        case Backend(Named(name, port, _, host)):
            return name, port, host
        case Backend(Balanced() as targets):
            return targets.configured
        case _:
            raise AssertionError(backend)
