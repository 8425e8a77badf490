"""tollhouse config lint: what is allowed and yet rarely meant."""

import sys
from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench, file_or_folder
from tollhouse.cli.output import say
from tollhouse.review.lint import lint, lint_settings


@click.command("lint")
@file_or_folder
def command(path: Path) -> None:
    """Warn of services without routes, routes that another one hides, plugins that reach nothing, secrets in
    plain text and a public Admin API; exit code 1 if there is any of it."""
    bench = Workbench()
    findings = [
        *lint(bench.snapshot_of(path), bench.settings.router_flavor, bench.registry),
        *lint_settings(bench.settings),
    ]
    for finding in findings:
        say(str(finding))
    if findings:
        sys.exit(1)
    say(f"nothing to remark about {path}")
