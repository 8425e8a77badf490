"""docs/guides/plugins.md: what it shows is done here as it stands there."""

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

from tests.support.gateway import Gateway, clean_environment
from tests.support.upstream import Upstream

from tollhouse.custom.find import GROUP

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "plugins.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")) if name == language]


async def shell(script: str, folder: Path) -> str:
    """Runs a snippet of a shell in a folder, with the commands that an installation has."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    for name, options in (("tollhouse", ""), ("pytest", "-p no:cacheprovider --noconftest")):
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} {options} "$@"\n')
        command.chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("sh", "-ec", script),
        cwd=folder,
        env={**clean_environment(), "PATH": path, "KONG_PREFIX": str(folder / "prefix")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_first_step_writes_a_plugin_and_its_test_passes(tmp_path: Path) -> None:
    first, _ = blocks("sh")
    assert "2 passed" in await shell(first, tmp_path)


async def test_the_plugin_of_the_guide_is_checked_and_serves(tmp_path: Path, upstream: Upstream) -> None:
    budget, _ = blocks("python")
    (config,) = blocks("yaml")
    _, serve = blocks("sh")
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "budget.py").write_text(budget)
    (tmp_path / "kong.yml").write_text(config)
    *before, start = serve.strip().splitlines()
    assert start == "tollhouse start -c kong.yml"
    assert "is valid" in await shell("\n".join(before), tmp_path)

    exported = dict(line.removeprefix("export ").split("=", 1) for line in before if "export" in line)
    exported["TOLLHOUSE_PLUGINS_PATH"] = str(tmp_path / exported["TOLLHOUSE_PLUGINS_PATH"])
    gateway = await Gateway.start(config.replace("http://127.0.0.1:9000", upstream.url), environment=exported)
    try:
        accepted = await gateway.request("POST", "/upload", body=b"1234")
        assert (accepted.status, accepted.headers["x-left"]) == (200, "6")
        refused = await gateway.request("POST", "/upload", body=b"12345678901")
        assert (refused.status, refused.json()) == (413, {"message": "Too much", "limit": 10})
    finally:
        await gateway.stop()


async def test_the_file_for_kongs_python_pdk_serves(tmp_path: Path, upstream: Upstream) -> None:
    _, written = blocks("python")
    (tmp_path / "kong-hello.py").write_text(written)
    config = (
        '_format_version: "3.0"\nservices:\n- url: URL\n  routes: [{paths: [/]}]\n'
        "  plugins: [{name: kong-hello}]\n"
    )
    environment = {"KONG_PLUGINS": "kong-hello", "TOLLHOUSE_PLUGINS_PATH": str(tmp_path)}
    gateway = await Gateway.start(config.replace("URL", upstream.url), environment=environment)
    try:
        assert (await gateway.request("GET", "/")).headers["x-hello"] == "hello, gw.test"
    finally:
        await gateway.stop()


def test_the_entry_point_is_of_the_group_that_is_looked_for() -> None:
    (project,) = blocks("toml")
    assert tomllib.loads(project)["project"]["entry-points"][GROUP] == {"budget": "budget:Budget"}
