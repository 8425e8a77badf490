"""tollhouse plugin new: a plugin that works, and a test that starts a gateway with it."""

import re
from pathlib import Path
from typing import Final

import click

from tollhouse.cli.output import fail, say
from tollhouse.plugins import BUNDLED

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

PLUGIN: Final = '''"""@NAME@: tells the upstream a word, and refuses clients that use a forbidden one."""

from dataclasses import dataclass

from tollhouse.pdk import Exchange, Plugin, Reject, setting

version = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    word: str = setting("hello", len_min=2, doc="What the upstream is told in X-Word.")
    forbidden: tuple[str, ...] = setting((), doc="Values of X-Word that a client must not send.")


class @CLASS@(Plugin[Config]):
    name = "@NAME@"
    # Among plugins of one phase the higher number runs first; authentication is above 1000.
    priority = 700
    Config = Config

    def prepare(self) -> None:
        """What depends on the settings alone is computed once."""
        self._forbidden = frozenset(self.conf.forbidden)

    def access(self, ex: Exchange) -> None:
        """Runs before the request goes upstream."""
        if ex.request.headers.get("x-word") in self._forbidden:
            raise Reject(403, "This word is forbidden")
        ex.request.headers.set("X-Word", self.conf.word)

    def header_filter(self, ex: Exchange) -> None:
        """Runs when the head of the answer is there."""
        if ex.response is not None:
            ex.response.headers.set("X-Told", self.conf.word)
'''

TEST: Final = '''"""@NAME@, in a gateway of its own: run `pytest`."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

CONFIG = """_format_version: "3.0"
services:
- url: {upstream}
  routes: [{{paths: [/]}}]
  plugins: [{{name: @NAME@, config: {{word: welcome, forbidden: [secret]}}}}]
"""


class Upstream(BaseHTTPRequestHandler):
    """Answers with the headers that it was sent."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    upstream = HTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    file = folder / "kong.yml"
    file.write_text(CONFIG.format(upstream=f"http://127.0.0.1:{upstream.server_port}"))
    settings = {
        "KONG_PLUGINS": "bundled,@NAME@",
        "TOLLHOUSE_PLUGINS_PATH": str(Path(__file__).parent),
        "KONG_PROXY_LISTEN": "127.0.0.1:0",
        "KONG_ADMIN_LISTEN": "off",
        "KONG_STATUS_LISTEN": "off",
        "KONG_PREFIX": str(folder),
    }
    command = [sys.executable, "-m", "tollhouse", "start", "--workers", "1", "-c", str(file)]
    node = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    try:
        # The node says `proxy http://127.0.0.1:PORT` when it is ready.
        yield next(line.split()[1] for line in node.stdout if line.lstrip().startswith("proxy "))
    finally:
        node.terminate()
        node.wait()
        node.stdout.close()
        upstream.shutdown()
        upstream.server_close()


def test_the_upstream_and_the_client_are_told_the_word(gateway: str) -> None:
    with urlopen(gateway) as answer:
        assert json.load(answer)["x-word"] == "welcome"
        assert answer.headers["X-Told"] == "welcome"


def test_a_forbidden_word_is_refused(gateway: str) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(gateway, headers={"X-Word": "secret"}))
    with refused.value as answer:
        assert answer.status == 403
        assert json.load(answer)["message"] == "This word is forbidden"
'''


@click.command("new")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("plugins"),
    show_default=True,
    help="Where to write it.",
)
def command(name: str, folder: Path) -> None:
    """Write a plugin called NAME that works, and a test that starts a gateway with it."""
    if not _NAME.fullmatch(name):
        fail(f"'{name}' is no name for a plugin: use lower-case words joined by hyphens, such as my-plugin")
    if name in BUNDLED:
        fail(f"'{name}' is a bundled plugin: choose another name")
    stem = name.replace("-", "_")
    files = {folder / f"{stem}.py": PLUGIN, folder / f"test_{stem}.py": TEST}
    for file in files:
        if file.exists():
            fail(f"{file} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        class_name = "".join(word.capitalize() for word in name.split("-"))
        file.write_text(text.replace("@NAME@", name).replace("@CLASS@", class_name), encoding="utf-8")
        say(f"wrote {file}")
    say(f"\nTest it:   pytest {folder}")
    say(f"Serve it:  KONG_PLUGINS=bundled,{name} TOLLHOUSE_PLUGINS_PATH={folder} tollhouse start -c kong.yml")
