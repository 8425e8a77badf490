"""Commands by the names that Kong's scripts call them, with its words and exit codes."""

from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway, request
from tests.support.postgres import Postgres

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FILE = '_format_version: "3.0"\nservices: [{name: s, url: "http://a.test"}]\n'


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> dict[str, str]:
    return postgres.environment(await postgres.new_database())


async def test_a_file_is_parsed(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.yml", tmp_path / "wrong.yml"
    right.write_text(FILE)
    wrong.write_text(FILE + "nobody: 1\n")

    parsed = await tollhouse("config", "parse", str(right))
    refused = await tollhouse("config", "parse", str(wrong))

    assert (parsed.code, parsed.output) == (0, "parse successful\n")
    assert refused.code == 1
    assert f"{wrong}:3: nobody: unknown field" in refused.errors


async def test_a_file_to_begin_with_is_right_and_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"

    assert (await tollhouse("config", "init", str(file))).code == 0
    assert (await tollhouse("config", "parse", str(file))).code == 0
    again = await tollhouse("config", "init", str(file))

    assert again.code == 1
    assert again.errors.endswith("already exists.\nWill not overwrite it.\n")


async def test_a_database_is_filled_from_a_file_and_written_to_one(
    database: dict[str, str], tmp_path: Path
) -> None:
    file, written = tmp_path / "kong.yml", tmp_path / "written.yml"
    file.write_text(FILE)
    assert (await tollhouse("migrations", "bootstrap", **database)).code == 0

    imported = await tollhouse("config", "db_import", str(file), **database)
    exported = await tollhouse("config", "db_export", str(written), **database)
    again = await tollhouse("config", "db_export", str(written), **database)

    assert imported.code == 0
    assert imported.output.startswith("parse successful, beginning import\n")
    assert imported.output.endswith("import successful\n")
    assert (exported.code, exported.output) == (0, "")
    assert "name: s\n" in written.read_text()
    assert "tags: null\n" in written.read_text()
    assert (await tollhouse("config", "parse", str(written))).code == 0
    assert again.code == 1
    assert "Will not overwrite it." in again.errors


@pytest.mark.parametrize("command", ["db_import", "db_export"])
async def test_without_a_database_there_is_nothing_to_fill(command: str, tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(FILE)

    ended = await tollhouse("config", command, str(file))

    assert ended.code == 1
    assert "only works with a database" in ended.errors


@pytest.mark.parametrize("reference", ["{vault://env/some-secret}", "env/some-secret"])
async def test_a_reference_is_looked_up(reference: str) -> None:
    ended = await tollhouse("vault", "get", reference, SOME_SECRET="s3cret")

    assert (ended.code, ended.output) == (0, "s3cret\n")


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("{vault://env/nothing}", "could not get value from external vault"),
        ("nowhere/x", "could not find vault (nowhere)"),
        ("{nonsense}", "is no reference"),
    ],
)
async def test_a_reference_that_leads_nowhere_is_told(reference: str, why: str) -> None:
    ended = await tollhouse("vault", "get", reference)

    assert ended.code == 1
    assert reference in ended.errors
    assert why in ended.errors


async def test_a_node_quits() -> None:
    node = await Gateway.start(FILE)
    try:
        ended = await tollhouse("quit", "-t", "20", "--prefix", str(node.folder))
        assert (ended.code, ended.output) == (0, "Tollhouse stopped (gracefully)\n")
    finally:
        await node.stop()
    nowhere = await tollhouse("health", "-p", str(node.folder / "gone"))
    assert (nowhere.code, nowhere.errors) == (1, f"Error: no such prefix: {node.folder / 'gone'}\n")
    gone = await tollhouse("quit")
    assert gone.code == 1
    assert "is not running" in gone.errors


async def test_a_node_tells_its_vaults_and_drains() -> None:
    vault = "vaults: [{name: env, prefix: own, config: {prefix: SOME_}}]\n"
    listens = {"KONG_STATUS_LISTEN": "127.0.0.1:0, 127.0.0.1:0 ssl"}
    node = await Gateway.start(FILE + vault, environment=listens)
    try:
        looked_up = await tollhouse(
            "vault", "get", "own/secret", SOME_SECRET="s3cret", KONG_PREFIX=str(node.folder)
        )
        host, port = node.addresses["status"]
        status = next(line for line in node.output if line.strip().startswith("status"))
        secured = status.rpartition("https://")[2].strip()
        wrong = await request((host, port), "POST", "/status/ready", FORM, b"status=gone")
        ended = await tollhouse("drain", KONG_STATUS_LISTEN=f"{secured} ssl")
        ready = await request((host, port), "GET", "/status/ready")
        served = await request(node.proxy, "GET", "/")
    finally:
        await node.stop()
    away = await tollhouse("drain", KONG_STATUS_LISTEN=f"{host}:{port}")

    assert wrong.status == 400
    assert (looked_up.code, looked_up.output) == (0, "s3cret\n")
    assert (ended.code, ended.output) == (0, "Tollhouse's status successfully changed to 'draining'\n")
    assert (ready.status, ready.json()) == (503, {"message": "draining"})
    assert served.status == 404
    assert away.code == 1
    assert "does not answer" in away.errors
