"""tollhouse reload: lets a running node read its configuration again."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.options import allow_missing_plugins, running_prefix
from tollhouse.cli.output import fail_config, say, warn
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.plugins import Registry
from tollhouse.supervisor import instances
from tollhouse.supervisor.configuration import Source, checked


@click.command("reload")
@click.option("--pid", type=int, help="Which node, if several are running.")
@running_prefix
@allow_missing_plugins
def command(pid: int | None) -> None:
    """Let a running node read its configuration again. A file with errors is not taken over."""
    node = the_node(pid)
    settings = from_environment()
    allow_missing = node.allow_missing_plugins or settings.allow_missing_plugins
    if node.has_file:
        registry = Registry.of(
            replace(
                settings,
                plugins=node.plugins or settings.plugins,
                plugins_path=tuple(map(Path, node.plugins_path)),
            ),
            allow_missing=allow_missing,
        )
        try:
            text = Source(file=Path(node.configuration)).read()
            checked(text, settings, registry, node.configuration, warn)
        except ConfigErrors as errors:
            fail_config(errors)
    if allow_missing:
        instances.allow_missing_plugins(settings.prefix, node)
    os.kill(node.pid, signal.SIGHUP)
    say("Tollhouse reloaded")
