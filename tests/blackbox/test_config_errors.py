"""A wrong configuration: every error at once, each with file, line, field and what was expected.

The same file is given to `tollhouse check`, `tollhouse start`, SIGHUP and `POST /config`; none takes it,
and all tell the same.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

from tollhouse.cli import main

WRONG = """_format_version: "3.0"
_nonsense: 1
services:
- name: one
  url: http://127.0.0.1:1
  retries: many
  conect_timeout: 5
  routes:
  - name: r1
    paths: [relative, /good, "~/(unclosed"]
    protocols: [http, gopher]
  - {name: r2}
  plugins:
  - name: rate-limiting
    config: {minute: 10, hour: 5, limit_by: moon}
  - name: no-such-plugin
- name: one
  url: http://127.0.0.1:2
- {name: two, host: a, port: 70000, path: nope}
routes:
- {name: r3, paths: [/x], service: missing}
consumers:
- {username: alice, keyauth_credentials: [{key: k}, {key: k}]}
- {tags: [x]}
upstreams:
- name: "not a host"
  targets: [{target: "a:99999"}]
plugins:
- name: key-auth
  consumer: alice
- name: request-termination
  config: {status_code: 99, message: a, body: b}
"""
#: line, field, words
EXPECTED = [
    (2, "_nonsense", "unknown field"),
    (6, "services[0].retries", "expected an integer"),
    (7, "services[0].conect_timeout", "unknown field"),
    (10, "services[0].routes[0].paths[0]", "should start with: /"),
    (10, "services[0].routes[0].paths[2]", "regex"),
    (11, "services[0].routes[0].protocols[1]", "expected one of: grpc, grpcs, http"),
    (12, "services[0].routes[1]", "must set one of"),
    (15, "services[0].plugins[0].config.limit_by", "expected one of: consumer, credential"),
    (16, "services[0].plugins[1].name", "not enabled"),
    (17, "services[1]", "'services' entity with name set to 'one' already declared"),
    (19, "services[2].port", "value should be between 0 and 65535"),
    (19, "services[2].path", "should start with: /"),
    (21, "routes[0].service", "no such entry in 'services'"),
    (23, "consumers[0].keyauth_credentials[1]", "entity with key set to 'k' already declared"),
    (24, "consumers[1]", "at least one of these fields must be non-empty"),
    (26, "upstreams[0].name", "Invalid name"),
    (27, "upstreams[0].targets[0].target", "Invalid target"),
    (30, "plugins[0].consumer", "value must be null"),
    (32, "plugins[1].config.status_code", "value should be between 100 and 599"),
]


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    config = f'_format_version: "3.0"\nservices: [{{url: "{upstream.url}", routes: [{{paths: [/]}}]}}]\n'
    gateway = await Gateway.start(config, workers=2)
    yield gateway
    await gateway.stop()


def told(text: str, file: Path) -> list[tuple[int, str, str]]:
    """Line, field and message of every error in an output."""
    pattern = re.compile(rf"^\s*{re.escape(str(file))}:(\d+): (.*?): (.*)$", re.MULTILINE)
    return [(int(line), field, message) for line, field, message in pattern.findall(text)]


def assert_all_told(found: list[tuple[int, str, str]]) -> None:
    for line, field, words in EXPECTED:
        assert any(
            each[0] == line and each[1].startswith(field) and words.lower() in each[2].lower()
            for each in found
        ), f"not told: {line} {field}: {words}\n" + "\n".join(map(str, found))
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found), "in the file's order"


async def test_check_and_start_tell_every_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(WRONG)

    check = await tollhouse("check", str(file))
    start = await tollhouse("start", "-c", str(file))

    for ended in (check, start):
        assert ended.code == 1
        assert ended.output == ""
        assert_all_told(told(ended.errors, file))
        assert "Traceback" not in ended.errors
        assert "6 |   retries: many" in ended.errors, "the line itself is shown"
    assert check.errors == start.errors
    count = len(told(check.errors, file))
    assert check.errors.startswith(f"Error: {count} problems in the configuration\n")


async def test_posting_it_tells_every_error_and_changes_nothing(node: Gateway) -> None:
    reply = await node.configure(WRONG)

    assert reply.status == 400
    answer = reply.json()
    assert isinstance(answer, dict)
    assert (answer["code"], answer["name"]) == (14, "invalid declarative configuration")
    assert answer["message"].startswith("declarative config is invalid: {")
    fields = answer["fields"]
    assert fields["_nonsense"] == "unknown field"
    assert fields["services"][0]["retries"] == "expected an integer"
    assert fields["services"][0]["routes"][0]["paths"][0].startswith("should start with: /")
    assert fields["services"][2]["port"] == "value should be between 0 and 65535"
    assert (await node.request("GET", "/")).status == 200


async def test_flattened_they_are_listed_by_entity(node: Gateway) -> None:
    body = msgspec.json.encode({"config": WRONG})

    reply = await node.admin_request(
        "POST", "/config?flatten_errors=1", {"Content-Type": "application/json"}, body
    )

    answer: Any = reply.json()
    kinds = [each["entity_type"] for each in answer["flattened_errors"]]
    assert {"service", "route", "plugin", "consumer", "upstream", "target"} <= set(kinds)
    service = next(
        each
        for each in answer["flattened_errors"]
        if each["entity_type"] == "service" and each.get("entity_name") == "one"
    )
    assert {"field": "retries", "message": "expected an integer", "type": "field"} in service["errors"]
    assert answer["fields"] == {"_nonsense": "unknown field"}


async def test_a_reload_tells_every_error_in_the_log_and_the_old_file_is_served(node: Gateway) -> None:
    good = node.file.read_text()
    node.file.write_text(WRONG)
    try:
        node.process.send_signal(1)
        await node.until_logged("status_code")

        assert_all_told(told("".join(node.errors), node.file))
        assert (await node.request("GET", "/")).status == 200
        reload = await tollhouse("reload", "--pid", str(node.process.pid), KONG_PREFIX=str(node.folder))
        assert reload.code == 1
        assert_all_told(told(reload.errors, node.file))
    finally:
        node.file.write_text(good)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('_format_version: "3.0"\nservices: [\n', 3, "failed parsing"),
        ('_format_version: "3.0"\nservices:\n\t- name: x\n', 3, "failed parsing"),
        ("_format_version: 3.0\n", 1, "_format_version: expected a string"),
        ("services: []\n", None, "_format_version: required field missing"),
        ('_format_version: "4.0"\n', 1, "expected one of: 1.1, 2.1, 3.0"),
        ("- a\n- b\n", None, "expected an object"),
        ("", None, "expected an object"),
        ('_format_version: "3.0"\nservices: {name: x}\n', 2, "services: expected an array"),
        ('_format_version: "3.0"\nservices:\n- null\n', None, "services"),
        ('{"_format_version": "3.0",\n "services": [{"name": "x",\n  "port": "a", "host": "h"}]}', 3, "port"),
        (
            '_format_version: "3.0"\nservices: &s [{name: a, host: h}]\nroutes: [{paths: [/], service: b}]\n',
            None,
            "service",
        ),
        (
            '_format_version: "3.0"\nconsumers:\n- {username: a}\n- {username: b}\n- {username: a}\n',
            5,
            "username",
        ),
        (
            '_format_version: "3.0"\nconsumers:\n- {username: a, keyauth_credentials: [{key: k}]}\n'
            "- username: b\n  keyauth_credentials:\n  - {key: k}\n",
            6,
            "key",
        ),
        ('_format_version: "3.0"\nlicenses: [{payload: a}]\n', 2, "not supported yet"),
        ('_format_version: "3.0"\nconsumers:\n- username: a\n  acls: [{group: 5}]\n', 4, "expected a string"),
    ],
)
def test_a_broken_file_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, line: int | None, words: str
) -> None:
    """In this process, for it is always the same command."""
    file = tmp_path / "kong.yml"
    file.write_text(text)

    with pytest.raises(SystemExit) as ended:
        main(["check", str(file)])

    errors = capsys.readouterr().err
    assert ended.value.code == 1
    assert words in errors
    if line is not None:
        assert f"{file}:{line}: " in errors


async def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00")

    for path, words in ((tmp_path / "none.yml", "No such file"), (binary, "not UTF-8")):
        for command in (("check", str(path)), ("start", "-c", str(path))):
            ended = await tollhouse(*command)
            assert ended.code == 1
            assert f"cannot read {path}: " in ended.errors
            assert words in ended.errors


async def test_wrong_settings_are_told_all_at_once_by_their_variables() -> None:
    wrong = {
        "KONG_LOG_LEVEL": "loud",
        "TOLLHOUSE_PROXY_LISTEN": "8000",
        "KONG_ADMIN_LISTEN": "127.0.0.1:8001 magic",
        "KONG_NGINX_WORKER_PROCESSES": "0",
        "KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT": "soon",
        "KONG_CLIENT_MAX_BODY_SIZE": "10x",
        "KONG_TRUSTED_IPS": "10.0.0.0/8, here",
        "KONG_SSL_CERT": "/nowhere.pem",
        "KONG_DATABASE": "cassandra",
        "KONG_PG_TIMEOUT": "5s",
        "KONG_PG_PASSWORD": "{vault://env/nothing}",
        "KONG_HEADERS": "server_token",
        "KONG_COUNTER_SLOTS": "0",
    }

    ended = await tollhouse("start", **wrong)

    assert ended.code == 1
    assert ended.errors.startswith("Error: 13 problems in the configuration\n")
    for variable, value in wrong.items():
        line = next(line for line in ended.errors.splitlines() if line.strip().startswith(variable))
        assert value.split()[-1] in line or "at least 1" in line, line


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"KONG_PROXY_LISTEN": "203.0.113.7:0"}, "KONG_PROXY_LISTEN: cannot listen on 203.0.113.7:0"),
        ({"KONG_PROXY_ERROR_LOG": "/proc/none/log"}, "KONG_PROXY_ERROR_LOG: cannot write to"),
        ({"KONG_DECLARATIVE_CONFIG": "/nowhere.yml"}, "cannot read /nowhere.yml"),
        ({"KONG_DECLARATIVE_CONFIG_STRING": "services: ["}, "failed parsing declarative configuration"),
    ],
)
async def test_what_only_the_start_can_find_out_is_told_without_a_traceback(
    environment: dict[str, str], words: str
) -> None:
    settings = {"KONG_PROXY_LISTEN": "127.0.0.1:0", "KONG_ADMIN_LISTEN": "off", "KONG_STATUS_LISTEN": "off"}
    if "KONG_DECLARATIVE_CONFIG" not in environment:
        settings.setdefault("KONG_DECLARATIVE_CONFIG_STRING", '_format_version: "3.0"\n')

    ended = await tollhouse("start", **{**settings, **environment})

    assert ended.code == 1
    assert words in ended.errors
    assert "Traceback" not in ended.errors


async def test_an_address_that_is_taken_is_told(node: Gateway) -> None:
    ended = await tollhouse(
        "start",
        KONG_PROXY_LISTEN=f"127.0.0.1:{node.proxy[1]}",
        KONG_ADMIN_LISTEN="off",
        KONG_STATUS_LISTEN="off",
        KONG_DECLARATIVE_CONFIG_STRING='_format_version: "3.0"\n',
    )

    assert ended.code == 1
    assert (
        f"KONG_PROXY_LISTEN: cannot listen on 127.0.0.1:{node.proxy[1]}: the address is in use"
        in ended.errors
    )
