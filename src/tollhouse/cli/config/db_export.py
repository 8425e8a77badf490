"""tollhouse config db_export: Kong's name for writing what the database holds."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench
from tollhouse.cli.output import fail
from tollhouse.config.export import to_config_text


@click.command("db_export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("kong.yml"))
def command(file: Path) -> None:
    """Write what the database holds to FILE (kong.yml), which must not be there yet."""
    bench = Workbench()
    if bench.settings.database == "off":
        fail("'config db_export' only works with a database: set KONG_DATABASE=postgres")
    if file.exists():
        fail(f"{file} already exists.\nWill not overwrite it.")
    snapshot = bench.running(bench.place(None))
    file.touch(mode=0o600)
    file.write_text(to_config_text(snapshot, bench.settings.router_flavor, nulls=True), encoding="utf-8")
