"""The command line: one file for each command. Only here is anything printed.

Commands are imported when they are called, so that `tollhouse start` does not pay for the others.
"""

import sys
from collections.abc import Sequence
from typing import Final

import click

from tollhouse import __version__
from tollhouse.cli.lazy import LazyGroup

_COMMANDS: Final = {
    "start": "Serve a configuration in the foreground.",
    "reload": "Let a running node read its configuration again.",
    "stop": "Let a running node finish its work and end.",
    "quit": "The same with a limit of time, as in Kong.",
    "migrations": "Make and bring up the tables of a PostgreSQL database.",
    "compat": "Tell what of a configuration for Kong is the same here, differs or is not supported.",
    "rehearse": "Replay recorded requests against a configuration without sending any.",
    "check": "Check a declarative file without serving it.",
    "config": "Render, check, compare, apply and write declarative configurations.",
    "explain": "Show where a request would go, and through which plugins.",
    "drain": "Let balancers leave a node that serves on.",
    "vault": "Look into the vaults of this machine.",
    "plugin": "Write, list and install plugins.",
    "health": "Tell whether a node is running and ready.",
    "quickstart": "Start the example with the embedded model and send real requests through it.",
    "models": "Install models that the gateway can run itself.",
    "cost": "Show how the cost of a call came about.",
    "replay-server": "Answer like a model provider, from recordings, with faults to drill clients.",
    "conform": "Ask a provider for the same whole and streamed, in every form, and compare.",
    "completion": "Print shell completion for bash, zsh or fish.",
    "version": "Print the version.",
}


@click.group(
    cls=LazyGroup,
    package="tollhouse.cli",
    commands_help=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from the environment: KONG_PROXY_LISTEN, KONG_ADMIN_LISTEN, KONG_LOG_LEVEL, …",
)
@click.version_option(__version__, prog_name="tollhouse", message="%(prog)s %(version)s")
def _tollhouse() -> None:
    """An API gateway and LLM gateway that reads Kong's declarative configuration."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `tollhouse`."""
    try:
        sys.exit(_tollhouse.main(arguments, standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
