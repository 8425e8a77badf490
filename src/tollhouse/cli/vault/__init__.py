"""tollhouse vault: what references to secrets stand for."""

from typing import Final

import click

from tollhouse.cli.lazy import LazyGroup

_COMMANDS: Final = {"get": "Print the secret that a reference stands for."}


@click.group("vault", cls=LazyGroup, package="tollhouse.cli.vault", commands_help=_COMMANDS)
def command() -> None:
    """Look into the vaults of this machine."""
