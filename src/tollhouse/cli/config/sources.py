"""Configurations as commands name them: a file, a folder, what runs."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from tollhouse.cli.config.place import Place, place_of
from tollhouse.cli.output import fail, fail_config
from tollhouse.config.difference import difference
from tollhouse.config.ownership import Division, divided, names_of
from tollhouse.config.render import Rendered, render
from tollhouse.config.settings import Settings, from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry
from tollhouse.stores.store import ADMIN_API
from tollhouse.supervisor.configuration import Source, checked

file_or_folder: Final = click.argument("path", type=click.Path(path_type=Path, exists=True))
admin_url: Final = click.option(
    "--admin-url", envvar="TOLLHOUSE_ADMIN_URL", help="The node's Admin API, e.g. http://127.0.0.1:8001."
)
select_tags: Final = click.option(
    "--select-tag", "tags", multiple=True, help="Only entities that have this tag; all of them if repeated."
)


all_owners: Final = click.option(
    "--all-owners", is_flag=True, help="Delete also what was made through the Admin API."
)


class Workbench:
    """Settings and plugins of this machine, with which configurations are read."""

    def __init__(self) -> None:
        try:
            self.settings: Settings = from_environment()
        except ConfigErrors as errors:
            fail_config(errors)
        self.registry = Registry.of(self.settings, allow_missing=False)

    def rendered(self, folder: Path) -> Rendered:
        """A folder as one file. Ends the command if that cannot be."""
        try:
            return render(folder)
        except ConfigErrors as errors:
            fail_config(errors)

    def snapshot_of(self, path: Path) -> Snapshot:
        """What a file or folder describes. Ends the command with everything that is wrong."""
        rendered = self.rendered(path) if path.is_dir() else None
        try:
            text = rendered.text if rendered else Source(file=path).read()
            return checked(text, self.settings, self.registry, str(path))
        except ConfigErrors as errors:
            fail_config(ConfigErrors(rendered.located(errors.errors)) if rendered else errors)

    def place(self, url: str | None) -> Place:
        """Where the configuration that runs is kept."""
        return place_of(self.settings, self.registry, url)

    def origin(self, place: Place, snapshot: Snapshot) -> str:
        """A comment that tells where a configuration was read and who decides what it is there: who owns
        how many entities, and the names of those that no file declares."""
        try:
            owner, owners = place.owner(), place.owners()
        except OSError as error:
            fail(f"{place.name} does not answer: {error}")
        except ConfigErrors as errors:
            fail_config(errors, "")
        counts = Counter(each for found in owners.values() for each in found.values())
        lines = [f"# read from {place.name}, owned there by: {', '.join(sorted(counts)) or owner}"]
        for each, count in sorted(counts.items()):
            lines.append(f"# {each}: {count} {'entity' if count == 1 else 'entities'}")
            if each == ADMIN_API:
                lines += (f"#   {name}" for name in names_of(snapshot, owners, each))
        return "\n".join((*lines, ""))

    def divided(
        self,
        place: Place,
        running: Snapshot,
        wanted: Snapshot,
        tags: tuple[str, ...],
        *,
        all_owners: bool,
    ) -> Division:
        """What leads to the wanted configuration, as far as it is a file's to change. Ends the command if
        nobody can tell."""
        changes = difference(running, wanted, tags, self.settings.router_flavor)
        try:
            owners = place.owners()
        except OSError as error:
            fail(f"{place.name} does not answer: {error}")
        except ConfigErrors as errors:
            fail_config(errors, "")
        division = divided(changes, owners, running, tags)
        return replace(division, changes=changes, left_alone=()) if all_owners else division

    def running(self, place: Place) -> Snapshot:
        """What runs there. Ends the command if nobody can tell."""
        try:
            return place.read()
        except OSError as error:
            fail(f"{place.name} does not answer: {error}")
        except ConfigErrors as errors:
            fail_config(errors, "")
