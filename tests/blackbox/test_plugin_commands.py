"""`tollhouse plugin`: a plugin is written, listed, installed."""

import asyncio
import json
import os
import sys
import zipfile
from pathlib import Path

from tests.support.cli import tollhouse

LIBRARY = str(Path(__file__).parents[2] / "src")
PACKAGED = """
from dataclasses import dataclass

from tollhouse.pdk import Exchange, Plugin, setting


@dataclass(frozen=True)
class Config:
    word: str = setting("hi", doc="Said.")


class Shipped(Plugin[Config]):
    name = "shipped"
    priority = 12
    Config = Config

    def access(self, ex: Exchange) -> None:
        ex.request.headers.set("X-Shipped", self.conf.word)
"""


async def test_a_new_plugin_passes_its_own_test(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    ended = await tollhouse("plugin", "new", "my-first", "--folder", str(folder))
    assert ended.code == 0, ended.errors
    assert sorted(file.name for file in folder.iterdir()) == ["my_first.py", "test_my_first.py"]

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", str(folder)),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"2 passed" in output

    again = await tollhouse("plugin", "new", "my-first", "--folder", str(folder))
    assert again.code == 1
    assert "is there already" in again.errors


async def test_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for name, message in (("My_Plugin", "is no name for a plugin"), ("cors", "is a bundled plugin")):
        ended = await tollhouse("plugin", "new", name, "--folder", str(tmp_path))
        assert (ended.code, message in ended.errors) == (1, True)
    assert list(tmp_path.iterdir()) == []


async def test_the_list_has_bundled_plugins_and_files_and_what_is_wrong(tmp_path: Path) -> None:
    await tollhouse("plugin", "new", "in-folder", "--folder", str(tmp_path))
    (tmp_path / "kongs.py").write_text(
        'version = "2.1"\npriority = 33\nSchema = [{"word": {"type": "string", "default": "x"}}]\n'
        "class Plugin:\n    def access(self, kong): ...\n"
    )
    (tmp_path / "broken.py").write_text("\nimport nothing_like_it\n")
    environment = {"TOLLHOUSE_PLUGINS_PATH": str(tmp_path), "KONG_PLUGINS": "bundled,kongs"}

    ended = await tollhouse("plugin", "list", **environment)

    assert ended.code == 0, ended.errors
    rows = {line.split()[0]: line.split() for line in ended.output.splitlines() if line.split()}
    assert rows["cors"][2:] == ["2000", "yes", "bundled"]
    assert rows["in-folder"][1:] == ["0.1.0", "700", "no", f"{tmp_path}/in_folder.py"]
    assert rows["kongs"][1:] == ["2.1", "33", "yes", f"{tmp_path}/kongs.py"]
    assert f"{tmp_path}/broken.py:2: plugin 'broken': ModuleNotFoundError" in ended.output

    listed = json.loads((await tollhouse("plugin", "list", "--json", **environment)).output)
    assert {"name": "kongs", "version": "2.1", "priority": 33, "enabled": True}.items() <= next(
        plugin for plugin in listed if plugin["name"] == "kongs"
    ).items()

    shown = await tollhouse("plugin", "list", "in-folder", **environment)
    assert 'word       string, default "hello"  What the upstream is told in X-Word.' in shown.output


def wheel(folder: Path) -> Path:
    """A distribution with one plugin."""
    path = folder / "shipped_plugin-1.2.3-py3-none-any.whl"
    info = "shipped_plugin-1.2.3.dist-info"
    files = {
        "shipped_plugin.py": PACKAGED,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: shipped-plugin\nVersion: 1.2.3\n"
        "Summary: Says hi\nAuthor: Somebody\nLicense: MIT\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[tollhouse.plugins]\nshipped = shipped_plugin:Shipped\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


async def test_an_installed_distribution_brings_its_plugins(tmp_path: Path) -> None:
    site = tmp_path / "site"
    environment = {
        "PYTHONPATH": os.pathsep.join([LIBRARY, str(site)]),
        "PIP_TARGET": str(site),
        "PIP_NO_INDEX": "1",
    }
    site.mkdir()

    asked = await tollhouse("plugin", "install", str(wheel(tmp_path)), **environment)
    assert asked.code != 0, "nobody said yes"
    assert list(site.iterdir()) == []

    ended = await tollhouse("plugin", "install", "--yes", str(wheel(tmp_path)), **environment)
    assert ended.code == 0, ended.errors
    assert "shipped-plugin 1.2.3: Says hi" in ended.output
    assert "author: Somebody, license: MIT" in ended.output
    row = next(line.split() for line in ended.output.splitlines() if line.startswith("shipped "))
    assert row == ["shipped", "1.2.3", "12", "no", "shipped-plugin", "1.2.3"]

    (tmp_path / "kong.yml").write_text('_format_version: "3.0"\nplugins: [{name: shipped}]\n')
    checked = await tollhouse(
        "check", str(tmp_path / "kong.yml"), KONG_PLUGINS="bundled,shipped", **environment
    )
    assert checked.code == 0, checked.errors

    missing = await tollhouse("plugin", "install", "--yes", "there-is-no-such-thing", **environment)
    assert missing.code == 1
    assert "pip refused" in missing.errors
