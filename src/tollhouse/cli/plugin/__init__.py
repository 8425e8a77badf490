"""tollhouse plugin: what concerns plugins, the bundled ones and others."""

from typing import Final

import click

from tollhouse.cli.lazy import LazyGroup

_COMMANDS: Final = {
    "new": "Write a new plugin, with its test.",
    "list": "Show which plugins there are, or the settings of one.",
    "install": "Install a distribution that brings plugins.",
}


@click.group("plugin", cls=LazyGroup, package="tollhouse.cli.plugin", commands_help=_COMMANDS)
def command() -> None:
    """Write, list and install plugins."""
