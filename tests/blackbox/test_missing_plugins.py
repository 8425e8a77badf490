"""Files that name plugins which this version does not have."""

from pathlib import Path

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway

FILES = Path(__file__).parents[1] / "data" / "acceptance"
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:1
  routes: [{name: r, paths: [/]}]
  plugins:
  - {name: no-such-plugin, config: {anything: [1, {deep: true}]}, protocols: [http]}
  - {name: request-termination, config: {status_code: 418, message: tea}}
"""
WARNING = "services[0].plugins[0].name: plugin 'no-such-plugin' is unknown to this version of Tollhouse"


@pytest.mark.parametrize("name", ["core", "migration", "bedrock-rbac"])
async def test_files_of_other_gateways_load_with_a_warning_for_each_missing_plugin(name: str) -> None:
    file = str(FILES / f"{name}.yml")
    strict = await tollhouse("check", file)
    lenient = await tollhouse("check", file, "--allow-missing-plugins")

    missing = strict.errors.count("not enabled; add it to the 'plugins' configuration property")
    assert strict.code == (1 if missing else 0)
    assert lenient.code == 0, lenient.errors
    assert lenient.errors.count("is unknown to this version of Tollhouse: it does nothing") == missing


async def test_what_a_missing_plugin_is_told_is_kept_and_all_else_is_served() -> None:
    gateway = await Gateway.start(CONFIG, arguments=("--allow-missing-plugins",))
    try:
        assert any(f"kong.yml:7: {WARNING}" in line for line in gateway.errors)
        assert (await gateway.request("GET", "/")).status == 418
        shown = (await gateway.admin_request("GET", "/config")).body.decode()
        assert "no-such-plugin" in shown
        assert "deep: true" in shown
    finally:
        await gateway.stop()


async def test_without_the_switch_they_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "kong.yml"
    file.write_text(CONFIG)
    refused = await tollhouse("start", "-c", str(file))
    assert refused.code == 1
    assert "plugin 'no-such-plugin' not enabled" in refused.errors
    allowed = await tollhouse("check", str(file), KONG_ALLOW_MISSING_PLUGINS="on")
    assert allowed.code == 0


async def test_a_reload_may_accept_them_on_a_node_that_was_started_without() -> None:
    gateway = await Gateway.start('{_format_version: "3.0"}')
    try:
        gateway.file.write_text(CONFIG)
        here = {"KONG_PREFIX": str(gateway.folder)}
        refused = await tollhouse("reload", **here)
        assert refused.code == 1
        assert "plugin 'no-such-plugin' not enabled" in refused.errors

        accepted = await tollhouse("reload", "--allow-missing-plugins", **here)
        assert (accepted.code, WARNING in accepted.errors) == (0, True)
        await gateway.until_logged("configuration reloaded")
        assert (await gateway.request("GET", "/")).status == 418

        assert (await tollhouse("reload", **here)).code == 0
        await gateway.until_logged("configuration reloaded", times=2)
    finally:
        await gateway.stop()
