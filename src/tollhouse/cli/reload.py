"""tollhouse reload: lets a running node read its configuration again."""

import os
import signal

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.output import fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import Source, checked


@click.command("reload")
@click.option("--pid", type=int, help="Which node, if several are running.")
def command(pid: int | None) -> None:
    """Let a running node read its configuration again. A file with errors is not taken over."""
    node = the_node(pid)
    if node.configuration != "environment":
        from pathlib import Path

        settings = from_environment()
        try:
            checked(
                Source(file=Path(node.configuration)).read(),
                settings,
                Registry(settings.plugins),
                node.configuration,
            )
        except ConfigErrors as errors:
            fail_config(errors)
    os.kill(node.pid, signal.SIGHUP)
    say("Tollhouse reloaded")
