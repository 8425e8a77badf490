import functools
import gc
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tollhouse.config.declarative import Refused, answer, load, to_config_answer
from tollhouse.errors import ConfigError, ConfigErrors
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
_info: {select_tags: [a]}
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


def errors_of(refused: ConfigErrors) -> list[tuple[str, str, int | None]]:
    return [(error.path, error.message, error.line) for error in refused.errors]


BROKEN = """\
_format_version: "3.0"
services:
- name: s
  host: a
  routes:
  - name: r
    paths:
    - /ok
    - bad
    plugins:
    - name: key-auth
      config:
        key_names: [a, "b c"]
        bogus: 1
  port: 70000
routes:
- paths: [/x]
  service: nobody
- {}
consumers:
- username: u
- username: u
  groups: [{name: nobody}]
- {jwt_secrets: [{key: k, algorithm: X}], username: v}
filter_chains: [{name: x}]
extra: 1
"""

ALGORITHMS = (
    "expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, "
    "PS256, PS384, PS512, EdDSA"
)


def test_every_error_comes_at_once_with_its_path_and_line(refusal_of: Refuse) -> None:
    matcher = "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"
    header = "bad header name 'b c', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    assert errors_of(refusal_of(BROKEN)) == [
        (
            "services[0].routes[0].paths[1]",
            "should start with: / (fixed path) or ~/ (regex path)",
            9,
        ),
        ("services[0].routes[0].plugins[0].config.key_names[1]", header, 13),
        ("services[0].routes[0].plugins[0].config.bogus", "unknown field", 14),
        ("services[0].port", "value should be between 0 and 65535", 15),
        ("routes[0].service", "invalid reference 'service: nobody' (no such entry in 'services')", 18),
        ("routes[1]", matcher, 19),
        (
            "consumers[1]",
            "uniqueness violation: 'consumers' entity with username set to 'u' already declared",
            22,
        ),
        (
            "consumers[1].groups[0].consumer_group",
            "invalid reference 'consumer_group: nobody' (no such entry in 'consumer_groups')",
            23,
        ),
        ("consumers[2].jwt_secrets[0].algorithm", ALGORITHMS, 24),
        ("filter_chains", "'filter_chains' is not supported yet by this version of Tollhouse", 25),
        ("extra", "unknown field", 26),
    ]


def test_an_error_reads_as_file_line_path_and_text(refusal_of: Refuse) -> None:
    refused = refusal_of('_format_version: "3.0"\nservices:\n- {name: s}\n')
    assert str(refused.errors[0]) == "kong.yml:3: services[0].host: required field missing"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "routes: [{name: r, paths: [/], service: x}]",
            {"routes": {"r": ["invalid reference 'service: x' (no such entry in 'services')"]}},
        ),
        (
            "plugins: [{name: rate-limiting, config: {minute: 1}, id: 00000001-0000-4000-8000-000000000000, "
            "service: x, consumer: {id: 00000002-0000-4000-8000-000000000000}}]",
            {
                "plugins": {
                    "00000001-0000-4000-8000-000000000000": [
                        "invalid reference 'service: x' (no such entry in 'services')",
                        'invalid reference \'consumer: {"id":"00000002-0000-4000-8000-000000000000"}\' '
                        "(no such entry in 'consumers')",
                    ]
                }
            },
        ),
        (
            "services: [{name: s, host: a, protocol: https, client_certificate: x}]",
            {
                "services": {
                    "s": ["invalid reference 'client_certificate: x' (no such entry in 'certificates')"]
                }
            },
        ),
        (
            "routes: [{name: r, paths: [/], service: {name: x}}]",
            {"routes": [{"service": {"id": "missing primary key"}}]},
        ),
        (
            "routes: [{name: r, paths: [/], service: {id: x}}]",
            {"routes": {"r": ["invalid reference 'service: {\"id\":\"x\"}' (no such entry in 'services')"]}},
        ),
        (
            "routes: [{name: r, paths: [/], service: 5}]",
            {"routes": [{"service": {"id": "missing primary key"}}]},
        ),
        ("targets: [{target: a}]", {"targets": [{"upstream": "required field missing"}]}),
        (
            "keyauth_credentials: [{key: k}]",
            {"keyauth_credentials": [{"consumer": "required field missing"}]},
        ),
        (
            "services: [{name: a, host: a}, {name: b, host: b, routes: [{name: r, paths: [/], service: a}]}]",
            {"services": [None, {"routes": [{"service": "value must be null"}]}]},
        ),
        (
            "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: x}]}]",
            {"routes": {"r": ["invalid reference 'service: x' (no such entry in 'services')"]}},
        ),
        (
            "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: {name: x}}]}]",
            {"services": [{"routes": [{"service": "value must be null"}]}]},
        ),
        (
            "consumers: [{username: a, custom_id: c}, {username: b, custom_id: c}]",
            {
                "consumers": {
                    "b": "uniqueness violation: 'consumers' entity with custom_id set to 'c' already declared"
                }
            },
        ),
        (
            "consumers: [{username: a, keyauth_credentials: [{key: k}, {key: k}]}]",
            {
                "consumers": [
                    {
                        "keyauth_credentials": [
                            None,
                            "uniqueness violation: 'keyauth_credentials' entity "
                            "with key set to 'k' already declared",
                        ]
                    }
                ]
            },
        ),
        (
            "plugins: [{id: 00000001-0000-4000-8000-000000000000, name: cors}, {name: cors}]",
            {
                "plugins": [
                    None,
                    "UNIQUE violation detected on '{consumer=null,name=\"cors\",route=null,service=null}'",
                ]
            },
        ),
        (
            "consumers: [{username: a, plugins: [{name: key-auth}]}]",
            {"consumers": [{"plugins": [{"consumer": "value must be null"}]}]},
        ),
        ("services: [text, null]", {"services": ["expected a record", "expected a record"]}),
        ("services: [{name: s, host: a, routes: 5}]", {"services": [{"routes": "expected an array"}]}),
        ("_transform: 5", {"_transform": "expected a boolean"}),
        ("services: [{id: 5, host: a}]", {"services": [{"id": "expected a string"}]}),
        (
            "plugins: [{name: rate-limiting, config: {minute: 1, policy: redis}}]",
            {
                "plugins": [
                    {
                        "config": {"redis": {"host": "required field missing"}},
                        "@entity": ["failed conditional validation given value of field 'config.policy'"],
                    }
                ]
            },
        ),
        (
            "plugins: [{name: rate-limiting, config: {minute: 1, redis_host: a, redis: {host: b}}}]",
            {
                "plugins": [
                    {
                        "config": {
                            "redis_host": "both deprecated and new field are used but their values mismatch: "
                            "redis_host = a vs redis.host = b"
                        }
                    }
                ]
            },
        ),
    ],
)
def test_a_refusal_has_kongs_map(text: str, fields: dict[str, Any], refusal_of: Refuse) -> None:
    assert refusal_of(f'_format_version: "3.0"\n{text}\n').fields == fields


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


# fmt: off
NAMES = [
    "services", "routes", "consumers", "plugins", "upstreams", "targets", "keyauth_credentials", "config",
    "paths", "name", "id", "host", "url", "service", "key", "username", "tags", "protocols", "headers",
    "_comment", "port",
]
# fmt: on
names = st.sampled_from(NAMES)
DEEP: list[Any] = functools.reduce(lambda inner, _: [inner], range(400), [])
words = st.text(max_size=8) | st.sampled_from(["key-auth", "rate-limiting", "/x", "~/(", "http", "a", "3.0"])
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | words, inner, max_size=5),
    max_leaves=25,
)


def outcome_of(text: str, plugins: PluginSchemas) -> Snapshot | Refused:
    try:
        return load(text, file=None, plugins=plugins, flavor="traditional_compatible", now=5)
    except Refused as refused:
        return refused


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@example([])
@example({"routes": [{"protocols": [[]]}]})
@example({"_ignore": DEEP, "services": [{"name": "a", "host": "a"}, {"name": "a", "host": "a"}]})
@example({"routes": [{"paths": DEEP}], "services": DEEP})
@given(st.dictionaries(names | words, anything, max_size=5) | anything)
def test_any_json_document_is_loaded_or_refused(plugins: PluginSchemas, document: Any) -> None:
    if isinstance(document, dict):
        document = {"_format_version": "3.0", **document}
    outcome = outcome_of(json.dumps(document), plugins)
    if isinstance(outcome, Refused):
        assert outcome.errors
        assert all(isinstance(error, ConfigError) and error.message for error in outcome.errors)
        json.dumps([answer(outcome, flatten=True), answer(outcome, flatten=False)])
    else:
        json.dumps(to_config_answer(outcome))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@example('{"a": ' * 3000)
@example("a: " * 50)
@example("\ud800")
@example("- - - " * 500)
@given(st.text() | st.text("{}[]:,-&*!|>'\"%@`#? \nab1<"))
def test_any_text_is_loaded_or_refused(plugins: PluginSchemas, text: str) -> None:
    with pytest.raises(Refused) as caught:
        load(text, file=None, plugins=plugins, flavor="traditional_compatible", now=5)
    assert caught.value.errors
