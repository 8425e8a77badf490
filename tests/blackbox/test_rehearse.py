"""`tollhouse rehearse`, from the logs that a gateway writes."""

import json
from pathlib import Path

from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.lines import lines_of

SERVED = """_format_version: "3.0"
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: a, paths: [/a]}
  - {name: b, paths: [/b]}
plugins: [{name: file-log, config: {path: LOG}}]
"""


async def test_what_was_logged_is_rehearsed(tmp_path: Path) -> None:
    log, config, changed = tmp_path / "log", tmp_path / "kong.yml", tmp_path / "new.yml"
    config.write_text(SERVED.replace("LOG", str(log)))
    node = await Gateway.start(config.read_text())
    for path in ("/a", "/b/x", "/b/y", "/c"):
        await node.request("GET", path)
    await lines_of(log, 4)
    await node.stop()

    same = await tollhouse("rehearse", str(config), str(log), "--old", str(config))
    assert (same.code, same.output) == (0, "4 requests, 4 the same\n")

    changed.write_text(SERVED.replace("[/b]", "[/b/x]").replace("name: a,", "name: n,"))
    seen = await tollhouse("rehearse", str(changed), str(log), "--json")
    assert seen.errors == ""
    document = json.loads(seen.output)
    assert document["summary"]["changes"] == {"route": 1, "upstream": 1, "refused": 1}
    routed, sent, refused = document["changes"]
    assert (sent["before"], sent["after"]) == ("http://127.0.0.1:1/x", "http://127.0.0.1:1/")
    assert (routed["before"], routed["after"]) == ("a", "n")
    assert (refused["path"], refused["after"]) == ("/b/y", "404 no route matches")


async def test_logs_without_requests_are_told(tmp_path: Path) -> None:
    log, config = tmp_path / "log", tmp_path / "kong.yml"
    config.write_text('_format_version: "3.0"\n')
    log.write_text("nonsense\n")
    ended = await tollhouse("rehearse", str(config), str(log))
    assert ended.code == 2
    assert "no request could be read" in ended.errors
