"""tollhouse config render: one declarative file of a folder of them."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench
from tollhouse.cli.output import fail, say


@click.command("render")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if the output is not up to date.")
def command(folder: Path, output: Path | None, check: bool) -> None:
    """Make one declarative file of every file in FOLDER.

    Lists are joined; what is declared twice or points to nothing is refused with every place named.
    """
    text = Workbench().rendered(folder).text
    if check:
        if output is None:
            fail("--check needs --output: the file that is compared", 2)
        if not output.is_file() or output.read_text(encoding="utf-8") != text:
            fail(
                f"{output} is not what {folder} renders to; run: tollhouse config render {folder} -o {output}"
            )
        say(f"{output} is up to date")
    elif output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"{output} written")
