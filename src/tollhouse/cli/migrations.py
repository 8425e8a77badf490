"""tollhouse migrations: makes the tables of a database, brings them up to a newer version, removes them.

Exit codes are Kong's: `list` ends with 3 if the database needs to be bootstrapped, 4 if `finish` is
pending, 5 if `up` is needed.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.database import database_server
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.stores.store import StoreError

if TYPE_CHECKING:
    from tollhouse.stores.postgres.migrations import Migrations
    from tollhouse.stores.postgres.server import Server

T = TypeVar("T")

_NEEDS_BOOTSTRAP: Final = 3
_NEEDS_FINISH: Final = 4
_NEEDS_UP: Final = 5


@click.group("migrations")
def command() -> None:
    """Make and bring up the tables of a PostgreSQL database."""


@command.command("bootstrap")
def bootstrap() -> None:
    """Make all tables in an empty database. Several nodes may do so at once."""
    server = _server()
    from tollhouse.stores.postgres import migrations

    made = _run(migrations.bootstrap(server))
    say("Database is up-to-date" if made else "Database already bootstrapped")


@command.command("up")
def up() -> None:
    """Make what this version needs; nodes of the version before can go on meanwhile."""
    server = _server()
    from tollhouse.stores.postgres import migrations

    made = _run(migrations.up(server))
    for name in made:
        say(f"  {name}")
    say(f"{len(made)} migrations executed" if made else "Database is already up-to-date")


@command.command("finish")
def finish() -> None:
    """Take away what only the version before needed. It must not run any longer."""
    server = _server()
    from tollhouse.stores.postgres import migrations

    taken = _run(migrations.finish(server))
    for name in taken:
        say(f"  {name}")
    say(f"{len(taken)} migrations finished" if taken else "No pending migrations to finish")


@command.command("list")
def list_() -> None:
    """Show what is executed, pending and new."""
    server = _server()
    from tollhouse.stores.postgres import migrations

    found = _run(migrations.examine(server))
    if not found.bootstrapped:
        say("Database needs bootstrapping: run 'tollhouse migrations bootstrap'")
        sys.exit(_NEEDS_BOOTSTRAP)
    for title, names in (
        ("Executed migrations", found.executed),
        ("New migrations available, run 'tollhouse migrations up'", found.missing),
        ("Pending migrations, run 'tollhouse migrations finish'", found.obsolete),
    ):
        if names:
            say("\n  ".join((f"{title}:", *names)))
    sys.exit(_code(found))


@command.command("status")
def status() -> None:
    """Show as JSON how far the database is."""
    server = _server()
    from tollhouse.stores.postgres import migrations

    found = _run(migrations.examine(server))
    shown = {
        "needs_bootstrap": not found.bootstrapped,
        "executed_migrations": found.executed,
        "new_migrations": found.missing,
        "pending_migrations": found.obsolete,
    }
    say(json.dumps(shown, indent=2))


@command.command("reset")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Remove all tables and everything that is in them."""
    if not yes:
        if not sys.stdin.isatty():
            fail("not a terminal: say --yes to remove everything")
        click.confirm("This will permanently delete every entity in the database. Continue?", abort=True)
    server = _server()
    from tollhouse.stores.postgres import migrations

    done = _run(migrations.reset(server))
    say("Database successfully reset" if done else "Database not bootstrapped, nothing to reset")
    sys.exit(0 if done else 1)


def _server() -> "Server":
    """The database; asked for first, because without the extra there is nothing to import."""
    try:
        settings = from_environment()
        if settings.database == "off":
            fail("there is no database: set KONG_DATABASE=postgres and KONG_PG_HOST, KONG_PG_DATABASE, …")
        return database_server(settings)
    except ConfigErrors as errors:
        fail_config(errors)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (StoreError, ValueError) as error:
        fail(str(error))


def _code(found: "Migrations") -> int:
    if found.missing:
        return _NEEDS_UP
    return _NEEDS_FINISH if found.obsolete else 0
