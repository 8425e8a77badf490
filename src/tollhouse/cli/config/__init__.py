"""tollhouse config: what can be done with declarative configurations beside serving them."""

from typing import Final

import click

from tollhouse.cli.lazy import LazyGroup

_COMMANDS: Final = {
    "render": "Make one declarative file of a folder of them.",
    "check": "Check a file or a folder without serving it.",
    "lint": "Warn of what is allowed and yet rarely meant.",
    "diff": "Show what a configuration would change on a running node or in the database.",
    "sync": "Make a running node or the database hold exactly this configuration.",
    "import": "Add and update the entities of a file; nothing is deleted.",
    "dump": "Write what runs as people write it: nested, by names, without defaults.",
    "export": "Write what runs with every id and default, as Kong exports it.",
    "init": "Write a file to begin with.",
    "parse": "Kong's name for check.",
    "db_import": "Kong's name for import into the database.",
    "db_export": "Kong's name for export from the database.",
}


@click.group(
    "config",
    cls=LazyGroup,
    package="tollhouse.cli.config",
    commands_help=_COMMANDS,
)
def command() -> None:
    """Render, check, compare, apply and write declarative configurations.

    Commands that speak of what runs ask the running node (--admin-url, else the one of this prefix), or the
    database itself if KONG_DATABASE=postgres is set.
    """
