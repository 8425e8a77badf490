"""A node starts with what it served last when its file is broken or missing."""

import signal
from pathlib import Path

from tests.support.cli import tollhouse
from tests.support.gateway import Gateway

CONFIG = """_format_version: "3.0"
routes:
- name: r
  paths: [/]
  plugins: [{{name: request-termination, config: {{status_code: {status}}}}}]
"""


async def start(prefix: Path, file: Path) -> Gateway:
    environment = {"KONG_PREFIX": str(prefix)}
    return await Gateway.start(None, environment=environment, arguments=("-c", str(file)))


async def status(gateway: Gateway) -> int:
    return (await gateway.request("GET", "/")).status


async def test_the_last_good_configuration_is_served_with_a_loud_warning(tmp_path: Path) -> None:
    file, prefix = tmp_path / "kong.yml", tmp_path / "prefix"
    file.write_text(CONFIG.format(status=417))
    gateway = await start(prefix, file)
    file.write_text(CONFIG.format(status=418))
    gateway.process.send_signal(signal.SIGHUP)
    await gateway.until_logged("configuration reloaded")
    assert await gateway.stop() == 0

    file.write_text("routes: {")
    gateway = await start(prefix, file)
    try:
        assert await status(gateway) == 418
        assert any("CANNOT BE SERVED. SERVING THE LAST GOOD" in line for line in gateway.errors)
        assert any("failed parsing declarative configuration" in line for line in gateway.errors)
    finally:
        await gateway.stop()

    file.unlink()
    gateway = await start(prefix, file)
    try:
        assert await status(gateway) == 418
        file.write_text(CONFIG.format(status=419))
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.until_logged("configuration reloaded")
        assert await status(gateway) == 419
    finally:
        await gateway.stop()
    kept = list((prefix / "last-good").iterdir())
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]


async def test_another_file_has_nothing_to_fall_back_on(tmp_path: Path) -> None:
    good, broken = tmp_path / "good.yml", tmp_path / "broken.yml"
    good.write_text(CONFIG.format(status=418))
    gateway = await start(tmp_path, good)
    await gateway.stop()
    broken.write_text("routes: {")
    ended = await tollhouse("start", "-c", str(broken), KONG_PREFIX=str(tmp_path))
    assert ended.code == 1
    assert "failed parsing" in ended.errors
