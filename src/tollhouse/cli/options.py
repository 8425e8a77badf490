"""Options that several commands have. Each is a setting of the node under another name."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])

ALLOW_MISSING = "TOLLHOUSE_ALLOW_MISSING_PLUGINS"


def _switch_on(_: click.Context, __: click.Parameter, given: bool) -> bool:
    if given:
        os.environ[ALLOW_MISSING] = "on"
    return given


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
