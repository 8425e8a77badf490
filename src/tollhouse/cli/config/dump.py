"""tollhouse config dump: what runs, as people write it."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench, admin_url
from tollhouse.cli.output import say
from tollhouse.config.nested import to_nested_text


@click.command("dump")
@admin_url
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
@click.option("--with-ids", is_flag=True, help="Write the id of every entity.")
def command(admin_url: str | None, output: Path | None, with_ids: bool) -> None:
    """Write what runs: children in their parents, names for references, no defaults."""
    bench = Workbench()
    place = bench.place(admin_url)
    snapshot = bench.running(place)
    text = to_nested_text(snapshot, bench.registry, bench.settings.router_flavor, with_ids=with_ids)
    write(bench.origin(place, snapshot) + text, output)


def write(text: str, output: Path | None) -> None:
    """To the file, readable by its owner alone because it may hold secrets; else to standard output."""
    if output is None:
        click.echo(text, nl=False)
        return
    output.touch(mode=0o600)
    output.write_text(text, encoding="utf-8")
    say(f"{output} written")
