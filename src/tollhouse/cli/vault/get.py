"""tollhouse vault get: the secret that a reference stands for, on this machine."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from tollhouse.cli.admin_client import AdminClient
from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.model.constraints import is_reference
from tollhouse.model.entities import Vault
from tollhouse.stores.vaults import NoVault, Unresolvable, Vaults
from tollhouse.supervisor.instances import running


def _secret(vaults: Vaults, reference: str, prefix: Path) -> str:
    """What a reference stands for, by a vault that a running node has if it names one. Raises
    `Unresolvable`."""
    try:
        return vaults.secret(reference)
    except NoVault as error:
        found = _of_node(prefix, error.name)
        if found is None:
            raise
        return vaults.knowing((found,)).secret(reference)


def _of_node(prefix: Path, name: str) -> Vault | None:
    for node in running(prefix):
        if node.admin:
            with suppress(OSError):
                status, found = AdminClient.at(node.admin[0]).call("GET", f"/vaults/{quote(name, safe='')}")
                if status == 200:
                    return msgspec.convert(found, Vault)
    return None


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
        say(_secret(vaults, whole, settings.prefix))
    except ConfigErrors as errors:
        fail_config(errors)
    except NoVault as error:
        fail(f"could not find vault ({error.name}): '{reference}' cannot be resolved: {error}")
    except Unresolvable as error:
        fail(f"could not get value from external vault ({error}): '{reference}' cannot be resolved")
