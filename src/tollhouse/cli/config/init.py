"""tollhouse config init: a declarative file to begin with."""

from pathlib import Path
from typing import Final

import click

from tollhouse.cli.output import fail, say

_BEGINNING: Final = """\
_format_version: "3.0"

# services:
# - name: example
#   url: http://127.0.0.1:9000
#   routes:
#   - name: example
#     paths: [/example]
#   plugins:
#   - name: key-auth
#
# consumers:
# - username: alice
#   keyauth_credentials:
#   - key: a-secret
"""


@click.command("init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("kong.yml"))
def command(file: Path) -> None:
    """Write a declarative FILE (kong.yml) with examples in comments; what is there stays."""
    if file.exists():
        fail(f"{file} already exists.\nWill not overwrite it.")
    file.write_text(_BEGINNING, encoding="utf-8")
    say(f"{file} written")
