"""tollhouse config export: what runs, with every id and default."""

from pathlib import Path

import click

from tollhouse.cli.config.dump import write
from tollhouse.cli.config.sources import Workbench, admin_url
from tollhouse.config.export import to_config_text


@click.command("export")
@admin_url
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
def command(admin_url: str | None, output: Path | None) -> None:
    """Write what runs with every id and default, as Kong exports it."""
    bench = Workbench()
    place = bench.place(admin_url)
    snapshot = bench.running(place)
    write(bench.origin(place, snapshot) + to_config_text(snapshot, bench.settings.router_flavor), output)
