"""tollhouse check: checks a declarative file without serving it."""

from pathlib import Path

import click

from tollhouse.cli.options import allow_missing_plugins
from tollhouse.cli.output import fail_config, say, warn
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import Source, checked


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@allow_missing_plugins
def command(file: Path) -> None:
    """Check a declarative FILE; every problem is shown with its line."""
    try:
        settings = from_environment()
        text = Source(file=file).read()
        registry = Registry.of(settings)
        snapshot = checked(text, settings, registry, str(file), warn)
    except ConfigErrors as errors:
        fail_config(errors)
    say(f"configuration at {file} is valid: {summary(snapshot)}")


def summary(snapshot: Snapshot) -> str:
    """How much there is of everything that counts."""
    counts = (
        _count(len(snapshot.services), "service"),
        _count(len(snapshot.routes), "route"),
        _count(len(snapshot.consumers), "consumer"),
        _count(len(snapshot.plugins), "plugin"),
    )
    return ", ".join(counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
