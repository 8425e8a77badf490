import gc
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollhouse.config.declarative import Refused, answer, load, to_config_answer
from tollhouse.model.entities import Ref
from tollhouse.model.plugin import PluginSchemas
from tollhouse.model.snapshot import Snapshot

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "declarative_recorded.json").read_text()
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def comparable(value: Any, text: str) -> Any:
    """As the recordings are: made-up ids and times blanked; lists as sets."""
    if isinstance(value, dict):
        return {
            comparable(key, text): "<time>" if key in ("created_at", "updated_at") else comparable(each, text)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return sorted(
            (comparable(each, text) for each in value), key=lambda each: json.dumps(each, sort_keys=True)
        )
    if isinstance(value, str):
        return UUID.sub(lambda found: found[0] if found[0] in text else "<uuid>", value)
    return value


def outcome_of(text: str, plugins: PluginSchemas) -> Snapshot | Refused:
    try:
        return load(text, file=None, plugins=plugins, flavor="traditional_compatible", now=5)
    except Refused as refused:
        return refused


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["case"])
def test_a_document_gets_the_answer_kong_gave(case: dict[str, Any], plugins: PluginSchemas) -> None:
    text = case["text"]
    given: dict[str, Any] = {"case": case["case"], "text": text}
    outcome = outcome_of(text, plugins)
    if isinstance(outcome, Refused):
        given["refused"] = answer(outcome, flatten=False)
        given["flattened"] = answer(outcome, flatten=True)
    else:
        given["answer"] = to_config_answer(outcome)
    assert comparable({key: given.get(key) for key in case}, text) == comparable(case, text)


Load = Callable[[str], Snapshot]
Refuse = Callable[[str], Refused]

NESTED = """
_format_version: "3.0"
_transform: true
_comment: everything nested
_info: {select_tags: []}
services:
- name: s
  url: https://up.test/base
  _comment: a service
  routes:
  - name: r
    paths: [/x]
    plugins: [{name: key-auth}]
  plugins: [{name: rate-limiting, config: {minute: 5}}]
consumers:
- username: alice
  keyauth_credentials: [{key: secret, ttl: 60}]
  plugins: [{name: rate-limiting, config: {second: 1}}]
upstreams:
- name: up.test
  targets: [{target: a.test}, {target: "b.test:80", weight: 0}]
"""
FLAT = """
_format_version: "3.0"
services: [{name: s, url: "https://up.test/base"}]
routes: [{name: r, paths: [/x], service: s}]
consumers: [{username: alice}]
keyauth_credentials: [{key: secret, ttl: 60, consumer: alice}]
upstreams: [{name: up.test}]
targets: [{target: a.test, upstream: up.test}, {target: "b.test:80", weight: 0, upstream: up.test}]
plugins:
- {name: rate-limiting, config: {second: 1}, consumer: alice}
- {name: rate-limiting, config: {minute: 5}, service: s}
- {name: key-auth, route: r}
"""


def test_nested_entities_point_to_their_parents(snapshot_of: Load) -> None:
    snapshot = snapshot_of(NESTED)
    service, route = snapshot.services[0], snapshot.routes[0]
    assert (service.protocol, service.host, service.port, service.path) == ("https", "up.test", 443, "/base")
    assert route.service == Ref(service.id)
    assert snapshot.keyauth_credentials[0].consumer == Ref(snapshot.consumers[0].id)
    assert snapshot.keyauth_credentials[0].ttl == 60
    assert [target.target for target in snapshot.targets] == ["a.test:8000", "b.test:80"]
    assert {target.upstream.id for target in snapshot.targets} == {snapshot.upstreams[0].id}
    scopes = {(p.name, p.route, p.service, p.consumer) for p in snapshot.plugins}
    assert scopes == {
        ("key-auth", Ref(route.id), None, None),
        ("rate-limiting", None, Ref(service.id), None),
        ("rate-limiting", None, None, Ref(snapshot.consumers[0].id)),
    }


def test_a_flat_document_means_the_same_as_a_nested_one(snapshot_of: Load) -> None:
    nested, flat = snapshot_of(NESTED), snapshot_of(FLAT)
    for name in ("services", "routes", "consumers", "upstreams", "keyauth_credentials"):
        assert getattr(nested, name) == getattr(flat, name)


def test_json_and_yaml_mean_the_same(snapshot_of: Load) -> None:
    document = '{"_format_version": "3.0", "services": [{"name": "s", "host": "a"}]}'
    assert (
        snapshot_of(document).services
        == snapshot_of('_format_version: "3.0"\nservices: [{name: s, host: a}]').services
    )
    assert snapshot_of('{_format_version: "3.0", services: [{name: s, host: a}]}').services


def test_ids_are_stable_across_loads_and_places_in_the_file(snapshot_of: Load) -> None:
    one = snapshot_of(
        '{"_format_version": "3.0", "routes": [{"paths": ["/a"]}, {"paths": ["/b"]}, {"paths": ["/b"]}]}'
    )
    two = snapshot_of(
        '{"_format_version": "3.0", "routes": [{"paths": ["/b"]}, {"paths": ["/b"]}, {"paths": ["/a"]}]}'
    )
    assert len({route.id for route in one.routes}) == 3
    assert {route.id for route in one.routes} == {route.id for route in two.routes}


def test_references_go_by_name_or_id(snapshot_of: Load) -> None:
    uuid = "00000001-0000-4000-8000-000000000000"
    snapshot = snapshot_of(
        f"""
_format_version: "3.0"
services: [{{id: {uuid}, name: s, host: a}}]
routes:
- {{name: a, paths: [/], service: s}}
- {{name: b, paths: [/], service: {uuid}}}
- {{name: c, paths: [/], service: {{id: {uuid}}}}}
"""
    )
    assert {route.service for route in snapshot.routes} == {Ref(uuid)}


def test_times_are_those_of_the_load(snapshot_of: Load) -> None:
    snapshot = snapshot_of(
        '{"_format_version": "3.0", "consumers": [{"username": "a", "created_at": 5, "updated_at": 5}]}'
    )
    assert (snapshot.consumers[0].created_at, snapshot.consumers[0].updated_at) == (5, 1_700_000_000)


def test_the_hash_is_that_of_the_text(snapshot_of: Load) -> None:
    text = '_format_version: "3.0"\n'
    assert snapshot_of(text).hash == snapshot_of(text).hash == "33371dd163ecae6602a88ff671d6ac9a"
    assert snapshot_of(text + "# more\n").hash != snapshot_of(text).hash


def test_a_key_is_made_up_where_none_is_given(snapshot_of: Load) -> None:
    snapshot = snapshot_of(
        '{"_format_version": "3.0", "consumers": [{"username": "a", "keyauth_credentials": [{}]}]}'
    )
    assert len(snapshot.keyauth_credentials[0].key) == 32


def test_a_load_leaves_garbage_collection_as_it_was(snapshot_of: Load) -> None:
    assert gc.isenabled()
    snapshot_of('_format_version: "3.0"')
    assert gc.isenabled()


@pytest.mark.parametrize(
    "text",
    [
        "services: {}",
        "services: null",
        "certificates: []",
        "services: [{name: s, host: a, routes: [], plugins: {}}]",
        "_ignore: [{x: 1}]\n_comment: c",
        "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: a}]}]",
        "_workspace: w\n_plugin_configs: {}",
    ],
)
def test_what_says_nothing_is_accepted(text: str, snapshot_of: Load) -> None:
    snapshot_of(f'_format_version: "3.0"\n{text}\n')


def test_old_files_get_their_regexes_marked(snapshot_of: Load) -> None:
    paths = '["/plain/./x", "/re/\\\\d+", "/%41/(x)", "/a%2Eb/$"]'
    text = f'_format_version: "{{}}"\nroutes: [{{{{name: r, paths: {paths}}}}}]\n'
    assert snapshot_of(text.format("1.1")).routes[0].paths == (
        "/plain/x",
        "~/re/\\d+",
        "~/A/(x)",
        "~/a\\.b/$",
    )


def test_the_expressions_flavour_shows_expressions(plugins: PluginSchemas) -> None:
    text = '{"_format_version": "3.0", "routes": [{"name": "r", "expression": "http.path == \\"/\\""}]}'
    snapshot = load(text, file=None, plugins=plugins, flavor="expressions", now=5)
    (shown,) = to_config_answer(snapshot, "expressions")["routes"].values()
    assert shown["expression"] == 'http.path == "/"'
