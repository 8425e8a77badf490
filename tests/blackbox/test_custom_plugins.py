"""Custom plugins: one Python file in a folder of the operator's, changed while the node runs."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

HEADER = """
from dataclasses import dataclass

from tollhouse.pdk import Exchange, Plugin, Reject, setting


"""
GREETING = HEADER + dedent("""
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        word: str = setting("hello", len_min=2, doc="What is said.")
        times: int = setting(1, between=(1, 3), doc="How often.")


    class Greeting(Plugin[Config]):
        name = "greeting"
        priority = 700
        Config = Config

        def prepare(self) -> None:
            if self.conf.word == "unpreparable":
                raise RuntimeError("this word cannot be prepared")
            self.line = " ".join([self.conf.word] * self.conf.times)

        async def access(self, ex: Exchange) -> None:
            if ex.request.headers.get("x-early"):
                raise Reject(403, body={"early": True}, headers={"X-By": "greeting"})
            if ex.request.headers.get("x-fail"):
                raise RuntimeError("access fails")
            ex.request.headers.set("X-Greeting", self.line)

        async def response(self, ex: Exchange) -> None:
            ex.response.headers.set("X-Length", str(len(ex.response.content)))

        def header_filter(self, ex: Exchange) -> None:
            ex.response.headers.set("X-Version", "one")

        def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
            if ex.request.headers.get("x-fail-late"):
                raise RuntimeError("body_filter fails")
            return chunk + b"!" if last else chunk

        def log(self, ex: Exchange) -> None:
            raise RuntimeError("log fails")
""")
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: r, paths: [/], plugins: [{{name: greeting, config: {{word: {word}, times: 2}}}}]}}
  - {{name: plain, paths: [/plain]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "greeting.py").write_text(GREETING)
    return folder


def enabling(folder: Path, names: str = "bundled,greeting") -> dict[str, str]:
    return {"KONG_PLUGINS": names, "TOLLHOUSE_PLUGINS_PATH": str(folder)}


@pytest.fixture
async def node(upstream: Upstream, folder: Path) -> AsyncIterator[Gateway]:
    config = CONFIG.format(url=upstream.url, word="hi")
    gateway = await Gateway.start(config, workers=2, environment=enabling(folder))
    yield gateway
    await gateway.stop()


async def test_a_file_changes_request_answer_and_body(node: Gateway, upstream: Upstream) -> None:
    reply = await node.request("GET", "/")

    assert reply.status == 200
    assert upstream.received[-1].headers["x-greeting"] == "hi hi"
    assert reply.headers["x-version"] == "one"
    assert int(reply.headers["x-length"]) + 1 == len(reply.body)
    assert reply.body.endswith(b"!")


async def test_it_answers_early(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)
    reply = await node.request("GET", "/", {"X-Early": "1"})

    assert (reply.status, reply.headers["x-by"]) == (403, "greeting")
    assert reply.body == b'{"early":true}!'
    assert len(upstream.received) == before


async def test_what_it_raises_is_500_and_logged_and_the_worker_serves_on(node: Gateway) -> None:
    for name in ("X-Fail", "X-Fail-Late"):
        assert (await node.request("GET", "/", {name: "1"})).status == 500
    await node.until_logged("RuntimeError: access fails")
    await node.until_logged("RuntimeError: body_filter fails")
    await node.until_logged("RuntimeError: log fails")
    assert (await node.request("GET", "/")).status == 200
    assert (await node.request("GET", "/plain")).status == 200


async def test_its_schema_is_shown_and_its_settings_are_checked_as_kongs(node: Gateway) -> None:
    schema = (await node.admin_request("GET", "/schemas/plugins/greeting")).body.decode()
    assert '"word"' in schema
    assert '"between":[1,3]' in schema.replace(" ", "")

    body = b'{"name": "greeting", "config": {"word": "x", "times": 9, "other": 1}}'
    reply = await node.admin_request(
        "POST", "/schemas/plugins/validate", {"Content-Type": "application/json"}, body
    )
    assert reply.status == 400
    told = reply.json()
    assert isinstance(told, dict)
    assert told["code"] == 2
    assert told["fields"]["config"] == {
        "word": "length must be at least 2",
        "times": "value should be between 1 and 3",
        "other": "unknown field",
    }


async def test_a_reload_picks_up_a_changed_file_and_refuses_a_broken_one(node: Gateway, folder: Path) -> None:
    file = folder / "greeting.py"
    try:
        file.write_text(GREETING.replace('"X-Version", "one"', '"X-Version", "two"'))
        assert (await node.request("GET", "/")).headers["x-version"] == "one"
        node.process.send_signal(signal.SIGHUP)
        await node.until_logged("configuration reloaded")
        assert {(await node.request("GET", "/")).headers["x-version"] for _ in range(8)} == {"two"}

        file.write_text(GREETING.replace("priority = 700", "priority = seven"))
        node.process.send_signal(signal.SIGHUP)
        await node.until_logged("not reloaded")
        line = GREETING.splitlines().index("    priority = 700") + 1
        await node.until_logged(f"{file}:{line}: plugin 'greeting': NameError: name 'seven' is not defined")
        assert (await node.request("GET", "/")).headers["x-version"] == "two"
    finally:
        file.write_text(GREETING)


async def test_settings_that_its_code_cannot_take_are_refused_while_the_node_runs(
    node: Gateway, upstream: Upstream
) -> None:
    reply = await node.configure(CONFIG.format(url=upstream.url, word="unpreparable"))

    assert reply.status == 400
    assert b"this word cannot be prepared" in reply.body
    assert (await node.request("GET", "/")).headers["x-version"] == "one"


async def test_a_node_starts_though_its_code_fails_and_answers_500(upstream: Upstream, folder: Path) -> None:
    config = CONFIG.format(url=upstream.url, word="unpreparable")
    gateway = await Gateway.start(config, environment=enabling(folder))
    try:
        assert (await gateway.request("GET", "/")).status == 500
        assert (await gateway.request("GET", "/plain")).status == 200
    finally:
        await gateway.stop()


async def test_a_worker_that_is_replaced_while_the_file_is_broken_answers_500(
    upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "greeting.py"
    file.write_text(GREETING)
    config = CONFIG.format(url=upstream.url, word="hi")
    gateway = await Gateway.start(config, environment=enabling(tmp_path))
    try:
        file.write_text("import nothing_like_it")
        about = (await gateway.admin_request("GET", "/")).json()
        assert isinstance(about, dict)
        os.kill(about["pids"]["workers"][0], signal.SIGKILL)
        await gateway.until_logged("plugin 'greeting': ModuleNotFoundError")
        await gateway.until_logged("serving configuration", 2)
        assert (await gateway.request("GET", "/plain")).status == 200
        assert (await gateway.request("GET", "/")).status == 500
    finally:
        await gateway.stop()


WRONG = {
    "no-python": ("def (", "SyntaxError: invalid syntax", 1),
    "fails": ("import this_does_not_exist", "No module named 'this_does_not_exist'", 1),
    "empty": ("x = 1", "no class here that derives from tollhouse.pdk.Plugin", None),
    "other-name": (GREETING, "its `name` is 'greeting'; it has to be 'other-name'", 14),
    "no-phase": (
        HEADER + "@dataclass\nclass C:\n    pass\nclass P(Plugin):\n    name = 'no-phase'\n    priority = 1\n"
        "    Config = C\n",
        "it has none of the phases",
        10,
    ),
    "bad-shape": (
        HEADER
        + "@dataclass\nclass C:\n    pass\nclass P(Plugin):\n    name = 'bad-shape'\n    priority = 1\n"
        "    Config = C\n    def access(self): ...\n",
        "phase `access` has to take (self, ex)",
        14,
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_with_a_file_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    text, message, line = WRONG[name]
    file = tmp_path / f"{name.replace('-', '_')}.py"
    file.write_text(text)
    (tmp_path / "kong.yml").write_text('_format_version: "3.0"\n')

    ended = await tollhouse("check", str(tmp_path / "kong.yml"), **enabling(tmp_path, f"bundled,{name}"))

    assert ended.code == 1
    place = f"{file}:{line}: " if line else ""
    assert f"{place}plugin '{name}': " in ended.errors
    assert message in ended.errors


async def test_a_file_that_is_not_named_is_not_used(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(CONFIG.format(url="http://a.test", word="hi"))

    ended = await tollhouse("check", str(file), TOLLHOUSE_PLUGINS_PATH=str(folder))

    assert ended.code == 1
    assert "plugin 'greeting' not enabled; add it to the 'plugins' configuration property" in ended.errors
