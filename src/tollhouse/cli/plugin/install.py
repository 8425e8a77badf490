"""tollhouse plugin install: a distribution from the package index, into this environment."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import click

from tollhouse.cli.output import fail, fail_config, say
from tollhouse.cli.plugin.list import listed_custom, show
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors


@click.command("install")
@click.argument("distribution")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(distribution: str, *, yes: bool) -> None:
    """Install a DISTRIBUTION that brings plugins, after showing what it is.

    It may be whatever pip takes: a name, name==version, a wheel. pip's own settings hold.
    """
    try:
        settings = from_environment()
    except ConfigErrors as errors:
        fail_config(errors)
    for line in _described(_planned(distribution)):
        say(line)
    if not yes and not click.confirm("\nIts code will run in your gateway. Install it?"):
        sys.exit(1)
    before = {plugin.name for plugin in listed_custom(settings)}
    _pip("install", "--quiet", distribution)
    invalidate_caches()
    brought = [plugin for plugin in listed_custom(settings) if plugin.name not in before]
    if not brought:
        say("\nInstalled. It brought no new plugin: it has no entry point of the group tollhouse.plugins.")
        return
    say("\nInstalled. It brought:\n")
    show(brought)
    names = ",".join(["bundled", *(plugin.name for plugin in brought)])
    say(f"\nUse it with KONG_PLUGINS={names}")


def _planned(distribution: str) -> list[Mapping[str, Any]]:
    """What pip would install, as its report describes it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip("install", "--quiet", "--dry-run", "--report", str(report), distribution)
        plan: list[Mapping[str, Any]] = json.loads(report.read_text())["install"]
        return plan


def _described(plan: list[Mapping[str, Any]]) -> list[str]:
    if not plan:
        return ["It is installed already."]
    lines = []
    for entry in sorted(plan, key=lambda entry: not entry["requested"]):
        metadata = entry["metadata"]
        lines.append(f"{metadata['name']} {metadata['version']}: {metadata.get('summary') or 'no summary'}")
        if entry["requested"]:
            links = metadata.get("project_url") or [metadata.get("home_page") or ""]
            author = metadata.get("author") or metadata.get("author_email") or "not named"
            lines.append(f"  author: {author}, license: {_license(metadata)}")
            lines += [f"  {link}" for link in links if link]
            lines.append(f"  from {entry['download_info']['url']}")
    return lines


def _license(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("license_expression") or metadata.get("license") or "not named").splitlines()[0]


def _pip(*arguments: str) -> None:
    ended = subprocess.run(  # noqa: S603 - pip, with what the operator typed
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        said = [line for line in ended.stderr.splitlines() if not line.startswith("WARNING")]
        fail("pip refused:\n" + "\n".join(said))
