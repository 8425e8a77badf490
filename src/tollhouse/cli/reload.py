"""tollhouse reload: lets a running node read its configuration again."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.options import allow_missing_plugins
from tollhouse.cli.output import fail, fail_config, say, warn
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import Source, checked


@click.command("reload")
@click.option("--pid", type=int, help="Which node, if several are running.")
@allow_missing_plugins
def command(pid: int | None) -> None:
    """Let a running node read its configuration again. A file with errors is not taken over."""
    node = the_node(pid)
    if node.has_file:
        settings = from_environment()
        if settings.allow_missing_plugins and not node.allow_missing_plugins:
            fail("the node was started without --allow-missing-plugins and would refuse them")
        registry = Registry.of(
            replace(
                settings,
                plugins=node.plugins or settings.plugins,
                plugins_path=tuple(map(Path, node.plugins_path)),
            ),
            allow_missing=node.allow_missing_plugins,
        )
        try:
            text = Source(file=Path(node.configuration)).read()
            checked(text, settings, registry, node.configuration, warn)
        except ConfigErrors as errors:
            fail_config(errors)
    os.kill(node.pid, signal.SIGHUP)
    say("Tollhouse reloaded")
