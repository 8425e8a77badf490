"""Secrets that a configuration only refers to."""

import signal
from pathlib import Path

from tests.support.gateway import Gateway

CONFIG = """_format_version: "3.0"
vaults: [{{prefix: my-files, name: file, config: {{prefix: {folder}}}}}]
routes:
- name: file
  paths: [/file]
  plugins: [{{name: request-termination, config: {{message: "{{vault://my-files/greeting/text}}"}}}}]
- name: env
  paths: [/env]
  plugins: [{{name: request-termination, config: {{message: "{{vault://env/a-secret}}"}}}}]
"""


async def test_references_are_resolved_at_load_and_on_reload_and_never_shown(tmp_path: Path) -> None:
    greeting = tmp_path / "greeting"
    greeting.write_text('{"text": "first-secret"}\n')
    gateway = await Gateway.start(
        CONFIG.format(folder=tmp_path), environment={"A_SECRET": "env-secret", "KONG_LOG_LEVEL": "debug"}
    )
    try:
        assert (await gateway.request("GET", "/file")).json() == {"message": "first-secret"}
        assert (await gateway.request("GET", "/env")).json() == {"message": "env-secret"}

        greeting.write_text('{"text": "second-secret"}\n')
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until_logged("configuration reloaded")
        assert (await gateway.request("GET", "/file")).json() == {"message": "second-secret"}

        shown = (await gateway.admin_request("GET", "/config")).body.decode()
        assert "{vault://my-files/greeting/text}" in shown
        assert "secret" not in shown.replace("{vault://env/a-secret}", "")
        assert not any("-secret" in line for line in (*gateway.errors, *gateway.output))
    finally:
        await gateway.stop()
