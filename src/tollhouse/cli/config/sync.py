"""tollhouse config sync: a running node or the database holds exactly this configuration afterwards."""

from pathlib import Path

import click

from tollhouse.cli.config.shown import tree
from tollhouse.cli.config.sources import Workbench, admin_url, file_or_folder, select_tags
from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.difference import Change, difference
from tollhouse.errors import ConfigErrors


@click.command("sync")
@file_or_folder
@admin_url
@select_tags
@click.option("--dry-run", is_flag=True, help="Show the changes and make none.")
def command(path: Path, admin_url: str | None, tags: tuple[str, ...], dry_run: bool) -> None:
    """Create, update and delete what PATH asks for, all of it or nothing."""
    carry_out(path, admin_url, tags, dry_run=dry_run, deletes=True)


def carry_out(path: Path, url: str | None, tags: tuple[str, ...], *, dry_run: bool, deletes: bool) -> None:
    """Makes the changes that lead to a configuration. Ends the command if they are refused."""
    bench = Workbench()
    wanted = bench.snapshot_of(path)
    place = bench.place(url)
    running = bench.running(place)
    changes: list[Change] = [
        change
        for change in difference(running, wanted, tags, bench.settings.router_flavor)
        if deletes or change.action != "delete"
    ]
    for line in tree(changes, bench.registry):
        say(line)
    if dry_run or not changes:
        return
    try:
        place.apply(running, changes)
    except OSError as error:
        fail(f"{place.name} does not answer: {error}; nothing was changed")
    except ConfigErrors as errors:
        fail_config(errors, "")
    say(f"done: {place.name} has {'it' if len(changes) == 1 else 'all of them'}")
