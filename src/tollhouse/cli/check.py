"""tollhouse check: checks a declarative file without serving it."""

from pathlib import Path

import click

from tollhouse.cli.output import fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import Source, checked


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def command(file: Path) -> None:
    """Check a declarative FILE; every problem is shown with its line."""
    try:
        settings = from_environment()
        text = Source(file=file).read()
        snapshot = checked(text, settings, Registry(settings.plugins), str(file))
    except ConfigErrors as errors:
        fail_config(errors)
    say(
        f"configuration at {file} is valid: {len(snapshot.services)} services, "
        f"{len(snapshot.routes)} routes, {len(snapshot.consumers)} consumers, {len(snapshot.plugins)} plugins"
    )
