"""tollhouse config sync: a running node or the database holds exactly this configuration afterwards."""

from dataclasses import replace
from pathlib import Path

import click

from tollhouse.cli.config.shown import left_alone, tree
from tollhouse.cli.config.sources import Workbench, admin_url, all_owners, file_or_folder, select_tags
from tollhouse.cli.output import fail, fail_config, say
from tollhouse.errors import ConfigErrors
from tollhouse.supervisor.configuration import Source


@click.command("sync")
@file_or_folder
@admin_url
@select_tags
@all_owners
@click.option("--dry-run", is_flag=True, help="Show the changes and make none.")
def command(
    path: Path, admin_url: str | None, tags: tuple[str, ...], all_owners: bool, dry_run: bool
) -> None:
    """Create, update and delete what PATH asks for, all of it or nothing."""
    carry_out(path, admin_url, tags, dry_run=dry_run, deletes=True, all_owners=all_owners)


def carry_out(
    path: Path,
    url: str | None,
    tags: tuple[str, ...],
    *,
    dry_run: bool,
    deletes: bool,
    all_owners: bool = False,
) -> None:
    """Makes the changes that lead to a configuration. Ends the command if they are refused."""
    bench = Workbench()
    wanted = bench.snapshot_of(path)
    place = bench.place(url)
    running = bench.running(place)
    division = bench.divided(place, running, wanted, tags, all_owners=all_owners)
    if not deletes:
        kept = [change for change in division.changes if change.action != "delete"]
        division = replace(division, changes=kept, left_alone=())
    changes = division.changes
    for line in (*tree(changes, bench.registry), *left_alone(division.left_alone)):
        say(line)
    if dry_run or not (changes or division.adopted):
        return
    try:
        place.apply(running, division, Source(file=path.absolute()).owner)
    except OSError as error:
        fail(f"{place.name} does not answer: {error}; nothing was changed")
    except ConfigErrors as errors:
        fail_config(errors, "")
    if changes:
        say(f"done: {place.name} has {'it' if len(changes) == 1 else 'all of them'}")
