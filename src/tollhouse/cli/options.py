"""Options that several commands have. Each is a setting of the node under another name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tollhouse.cli.output import fail

C = TypeVar("C", bound=Callable[..., Any])

_PREFIX: Final = "TOLLHOUSE_PREFIX"
ALLOW_MISSING = "TOLLHOUSE_ALLOW_MISSING_PLUGINS"


def _switch_on(_: click.Context, __: click.Parameter, given: bool) -> bool:
    if given:
        os.environ[ALLOW_MISSING] = "on"
    return given


def _use(_: click.Context, __: click.Parameter, given: str | None) -> None:
    if given is not None:
        os.environ[_PREFIX] = given


def _use_existing(context: click.Context, parameter: click.Parameter, given: str | None) -> None:
    if given is not None and not Path(given).is_dir():
        fail(f"no such prefix: {Path(given).absolute()}")
    _use(context, parameter, given)


def _prefix(callback: Callable[[click.Context, click.Parameter, str | None], None]) -> Callable[[C], C]:
    return click.option(
        "-p", "--prefix", expose_value=False, callback=callback, help="The node's folder, as KONG_PREFIX."
    )


#: `--prefix`: the setting of that name, for this command
prefix: Final[Callable[[C], C]] = _prefix(_use)
#: the same of a node that is running
running_prefix: Final[Callable[[C], C]] = _prefix(_use_existing)


def allow_missing_plugins(command: C) -> C:
    """`--allow-missing-plugins`: the setting of that name is on for this command."""
    option = click.option(
        "--allow-missing-plugins",
        is_flag=True,
        expose_value=False,
        callback=_switch_on,
        help="Load plugins that this version does not know, each with a warning; they do nothing.",
    )
    return option(command)
