"""`tollhouse config`: against files, folders and a running node."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway

RUNNING = """_format_version: "3.0"
services:
- {name: a, host: 127.0.0.1, routes: [{name: r, paths: [/a]}]}
- {name: b, host: 127.0.0.1, routes: [{name: q, paths: [/b]}]}
consumers: [{username: u, keyauth_credentials: [{key: very-secret}]}]
"""


@pytest.fixture
async def node() -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(RUNNING)
    yield gateway
    await gateway.stop()


def admin(node: Gateway) -> tuple[str, str]:
    return "--admin-url", "http://{}:{}".format(*node.admin)


async def status(node: Gateway, path: str) -> int:
    return (await node.request("GET", path)).status


async def test_diff_shows_a_tree_and_sync_makes_it_so(node: Gateway, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.yml"
    wanted.write_text(
        RUNNING.replace("name: b,", "name: c,").replace("/a]", "/z]").replace("very-secret", "new-secret")
    )

    seen = await tollhouse("config", "diff", str(wanted), "--exit-code", *admin(node))
    assert seen.code == 2
    assert "  + c\n" in seen.output
    assert '      paths: ["/a"] → ["/z"]\n' in seen.output
    assert seen.output.endswith("6 changes: 2 to create, 2 to update, 2 to delete\n")
    assert "secret" not in seen.output

    assert (await tollhouse("config", "sync", str(wanted), *admin(node))).code == 0
    assert await status(node, "/z") != 404
    assert await status(node, "/a") == 404
    again = await tollhouse("config", "diff", str(wanted), "--exit-code", *admin(node))
    assert (again.code, again.output) == (0, f"compared with the node at {admin(node)[1]}\nno changes\n")


async def test_import_deletes_nothing(node: Gateway, tmp_path: Path) -> None:
    more = tmp_path / "more.yml"
    more.write_text('_format_version: "3.0"\nroutes: [{name: n, paths: [/n]}]\n')
    done = await tollhouse("config", "import", str(more), *admin(node))
    assert "1 change: 1 to create" in done.output
    assert await status(node, "/a") != 404
    dumped = await tollhouse("config", "dump", *admin(node))
    origin = f"# read from the node at {admin(node)[1]}, owned there by: "
    assert dumped.output.startswith(origin)
    assert "\n_format_version: '3.0'\nservices:\n- name: a\n" in dumped.output
    assert "name: n" in dumped.output


async def test_a_dry_run_changes_nothing(node: Gateway, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yml"
    empty.write_text('_format_version: "3.0"\n')
    seen = await tollhouse("config", "sync", str(empty), "--dry-run", *admin(node))
    assert "6 changes: 6 to delete" in seen.output
    assert await status(node, "/a") != 404


async def test_what_is_exported_can_be_synced_back(node: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "out.yml"
    assert (await tollhouse("config", "export", "-o", str(file), *admin(node))).code == 0
    assert file.stat().st_mode & 0o077 == 0
    assert file.read_text().startswith("# read from the node at ")
    assert (await tollhouse("config", "diff", str(file), *admin(node))).output.endswith("\nno changes\n")


async def test_answers_about_entities_name_their_owner() -> None:
    node = await Gateway.start(RUNNING)
    try:
        assert (await node.admin_request("GET", "/services")).headers["x-tollhouse-owner"] == "file:kong.yml"
        refused = await node.admin_request("DELETE", "/services/a")
        assert (refused.status, "x-tollhouse-owner" in refused.headers) == (405, False)

        assert (await node.configure(RUNNING)).status == 201
        assert (await node.admin_request("GET", "/services/a")).headers["x-tollhouse-owner"] == "config-api"
        dumped = await tollhouse("config", "dump", *admin(node))
        assert dumped.output.partition("\n")[0].endswith("owned there by: config-api")

        assert (await tollhouse("reload", KONG_PREFIX=str(node.folder))).code == 0
        await node.until_logged("configuration reloaded")
        assert (await node.admin_request("GET", "/config")).headers["x-tollhouse-owner"] == "file:kong.yml"
    finally:
        await node.stop()


async def test_an_absent_node_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(RUNNING)
    ended = await tollhouse("config", "diff", str(file), "--admin-url", "http://127.0.0.1:1")
    assert ended.code == 1
    assert "the node at http://127.0.0.1:1 does not answer" in ended.errors
    assert "Tollhouse is not running" in (await tollhouse("config", "diff", str(file))).errors


async def test_render_writes_and_checks(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.yml").write_text("services: [{name: a, host: h}]")
    (folder / "b.yml").write_text("routes:\n- {name: r, service: a, paths: [/], methods: [get]}")
    out = tmp_path / "kong.yml"
    arguments = ("config", "render", str(folder), "-o", str(out))

    assert (await tollhouse(*arguments, "--check")).code == 1
    assert (await tollhouse(*arguments)).code == 0
    assert (await tollhouse(*arguments, "--check")).code == 0
    (folder / "a.yml").write_text("services: [{name: a, host: other}]")
    assert "run: tollhouse config render" in (await tollhouse(*arguments, "--check")).errors

    checked = await tollhouse("config", "check", str(folder))
    assert checked.code == 1
    assert f"{folder / 'b.yml'}:2: routes[0].methods[0]: invalid value: get" in checked.errors


async def test_lint_has_an_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text('_format_version: "3.0"\nservices: [{name: a, host: h}]')
    seen = await tollhouse("config", "lint", str(file))
    assert (seen.code, seen.output) == (1, "service a: no route leads to it [service-without-routes]\n")
    file.write_text(RUNNING)
    assert (await tollhouse("config", "lint", str(file))).code == 0


async def test_compat_has_an_exit_code_and_json(tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(RUNNING)
    same = await tollhouse("compat", str(file))
    assert (same.code, same.errors) == (0, "")
    assert same.output.endswith("6 entities: 6 same, 0 differs, 0 not supported\n")

    file.write_text(RUNNING + "plugins: [{name: kafka-log, config: {topic: t}}]\n")
    ended = await tollhouse("compat", "--json", str(file))
    report = json.loads(ended.output)
    assert ended.code == 1
    assert report["summary"] == {"same": 6, "differs": 0, "not supported": 1}
    [missing] = [entity for entity in report["entities"] if entity["verdict"] == "not supported"]
    assert (missing["path"], missing["fields"][0]["how"]) == (
        "plugins[0]",
        "there is no plugin 'kafka-log'",
    )
