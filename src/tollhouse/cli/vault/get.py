"""tollhouse vault get: the secret that a reference stands for, on this machine."""

import os

import click

from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.model.constraints import is_reference
from tollhouse.stores.vaults import NoVault, Unresolvable, Vaults


@click.command("get")
@click.argument("reference")
def command(reference: str) -> None:
    """Print what REFERENCE stands for: `{vault://env/NAME}`, or `env/NAME` in short."""
    whole = reference if reference.startswith("{") else f"{{vault://{reference.removeprefix('vault://')}}}"
    if not is_reference(whole):
        fail(f"'{reference}' is no reference like {{vault://env/NAME}}")
    try:
        settings = from_environment()
        vaults = Vaults(
            os.environ, env_prefix=settings.vault_env_prefix, file_prefix=settings.vault_file_prefix
        )
        say(vaults.secret(whole))
    except ConfigErrors as errors:
        fail_config(errors)
    except NoVault as error:
        fail(f"could not find vault ({error.name}): '{reference}' cannot be resolved: {error}")
    except Unresolvable as error:
        fail(f"could not get value from external vault ({error}): '{reference}' cannot be resolved")
