"""The command line: what it prints, where, and with which exit code."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway, clean_environment
from tests.support.upstream import Upstream

from tollhouse import __version__
from tollhouse.cli import main

CONFIG = """_format_version: "3.0"
services:
- url: {url}
  routes: [{{paths: [/]}}]
  plugins: [{{name: cors}}]
consumers: [{{username: a}}, {{username: b}}]
"""
COMMANDS = {"start", "reload", "stop", "check", "health", "version", "completion"}


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), workers=2)
    yield gateway
    await gateway.stop()


def run(*arguments: str) -> int:
    """In this process; returns the exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_version_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert run("--version") == 0
    assert capsys.readouterr().out == f"tollhouse {__version__}\n"
    assert run("version", "-a") == 0
    assert re.match(r"Tollhouse: .+\nPython: 3\..+\nuvloop: ", capsys.readouterr().out)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert run(flag) == 0

    shown = capsys.readouterr().out
    assert set(re.findall(r"^  (\w+) ", shown, re.MULTILINE)) >= COMMANDS
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run(command, "--help") == 0
    assert "Usage: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chek",), "No such command 'chek'"),
        (("check",), "Missing argument 'FILE'"),
        (("start", "--workers", "0"), "0 is not in the range x>=1"),
        (("start", "--wrong"), "No such option"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
        (("stop", "--pid", "x"), "'x' is not a valid integer"),
    ],
)
def test_what_is_not_understood_is_told_with_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_check_tells_what_it_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(CONFIG.format(url="http://a.test"))

    assert run("check", str(file)) == 0

    told = capsys.readouterr()
    assert told.out == (f"configuration at {file} is valid: 1 service, 1 route, 2 consumers, 1 plugin\n")
    assert told.err == ""


async def test_a_start_says_where_the_node_listens(node: Gateway) -> None:
    assert node.output[0] == f"Tollhouse serves {node.file} (pid {node.process.pid})\n"
    assert node.output[1:] == [
        f"  proxy  http://127.0.0.1:{node.proxy[1]}\n",
        f"  admin  http://127.0.0.1:{node.admin[1]}\n",
    ]


async def test_health_of_a_node_that_is_well(node: Gateway) -> None:
    ended = await tollhouse("health", KONG_PREFIX=str(node.folder))

    assert (ended.code, ended.errors) == (0, "")
    assert ended.output == (
        f"supervisor....running (pid {node.process.pid})\n"
        f"proxy.........127.0.0.1:{node.proxy[1]}\n"
        f"admin.........127.0.0.1:{node.admin[1]}\n\nTollhouse is healthy at {node.folder}\n"
    )


@pytest.mark.parametrize("command", ["health", "stop", "reload"])
async def test_a_node_that_is_not_there_is_told(command: str, tmp_path: Path) -> None:
    ended = await tollhouse(command, KONG_PREFIX=str(tmp_path))

    assert (ended.code, ended.output) == (1, "")
    assert ended.errors == f"Error: Tollhouse is not running at {tmp_path}\n"


async def test_the_record_of_a_node_that_was_killed_misleads_nobody(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / f"{process.pid}.json"
    record.write_text(f'{{"pid":{process.pid},"proxy":[],"admin":[],"configuration":"environment"}}')
    (tmp_path / "run" / "broken.json").write_text("{")

    ended = await tollhouse("stop", KONG_PREFIX=str(tmp_path))

    assert ended.code == 1
    assert "not running" in ended.errors
    assert not record.exists()


async def test_reload_takes_the_changed_file(node: Gateway, upstream: Upstream) -> None:
    node.file.write_text('_format_version: "3.0"\n')
    try:
        ended = await tollhouse("reload", KONG_PREFIX=str(node.folder))

        assert (ended.code, ended.output) == (0, "Tollhouse reloaded\n")
        await node.until_logged("configuration reloaded")
        assert (await node.request("GET", "/")).status == 404
    finally:
        node.file.write_text(CONFIG.format(url=upstream.url))


async def test_of_several_nodes_one_must_be_chosen_and_stop_waits_for_its_end(upstream: Upstream) -> None:
    config = CONFIG.format(url=upstream.url)
    first = await Gateway.start(config)
    second = await Gateway.start(config, environment={"KONG_PREFIX": str(first.folder)})
    try:
        ended = await tollhouse("stop", KONG_PREFIX=str(first.folder))
        assert ended.code == 1
        assert ended.errors.startswith("Error: several nodes are running; choose one:\n")
        for each in (first, second):
            assert f"  --pid {each.process.pid}  127.0.0.1:{each.proxy[1]}  {each.file}\n" in ended.errors

        ended = await tollhouse("stop", "--pid", str(first.process.pid), KONG_PREFIX=str(first.folder))

        assert (ended.code, ended.output) == (0, "Tollhouse stopped\n")
        assert await first.process.wait() == 0
        assert second.process.returncode is None
        unknown = await tollhouse("stop", "--pid", "1", KONG_PREFIX=str(first.folder))
        assert unknown.errors == "Error: no node has pid 1\n"
    finally:
        await second.stop()
        await first.stop()


async def test_health_of_a_node_whose_admin_api_is_silent(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), arguments=("--workers", "1"))
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        ended = await tollhouse("health", KONG_PREFIX=str(node.folder))
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
        await node.stop()

    assert ended.code == 1
    assert "Error: the Admin API does not answer: " in ended.errors


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert "_TOLLHOUSE_COMPLETE" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script.encode(), capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tollhouse ", COMMANDS),
        ("tollhouse re", {"reload"}),
        ("tollhouse start --", {"--config", "--workers", "--help"}),
        ("tollhouse completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_completion_in_bash_offers_what_fits(tmp_path: Path, words: str, expected: set[str]) -> None:
    program = tmp_path / "tollhouse"
    program.write_text(f"#!{sys.executable}\nfrom tollhouse.cli import main\nmain()\n")
    program.chmod(0o755)
    environment = {
        **clean_environment(),
        "_TOLLHOUSE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }

    ended = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)

    offered = {line.partition(",")[2] for line in ended.stdout.splitlines()}
    assert expected <= offered
    assert all(each.startswith(words.rpartition(" ")[2]) for each in offered)
