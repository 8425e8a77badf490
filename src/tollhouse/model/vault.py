"""Vaults: where secrets stand that a configuration only refers to, under a prefix of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.common import created_at, tags, updated_at, uuid_id
from tollhouse.model.fields import MISSING
from tollhouse.model.schema import Record, schema_of, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvConfig:
    """`env`: environment variables."""

    prefix: str | None = setting(
        None, match="^[%a_-][%a%d_-]*$", doc="What the names of its variables begin with."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """`file`: files of one folder, such as mounted secrets."""

    prefix: str | None = setting(
        None, starts_with="/", doc="The folder; the node's `vault_file_prefix` if it is not given."
    )


#: the vaults there are, and their settings
VAULTS: Final[Mapping[str, type]] = {"env": EnvConfig, "file": FileConfig}


def _prefix_problem(text: str) -> str | None:
    """Kinds of vaults that Kong's open-source edition does not have are told apart from its own."""
    return f"must not be one of: {text}" if text in VAULTS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """A vault under a prefix: `{vault://prefix/name}` refers to a secret in it."""

    id: str = uuid_id()
    prefix: str = setting(
        required=True,
        unique=True,
        unique_across_ws=True,
        not_one_of=("env",),
        validator=_prefix_problem,
        match="^[a-z][a-z%d-]-[a-z%d]+$",
        doc="What references begin with.",
    )
    name: str = setting(required=True, doc="Which kind of vault: env or file.")
    description: str | None = setting(None, doc="What it is for.")
    config: dict[str, Any] = setting(dict, abstract=True, doc="The vault's settings.")
    created_at: int = created_at()
    updated_at: int = updated_at()
    tags: tuple[str, ...] | None = tags()


def vault_variant(raw: Mapping[str, Any]) -> Record | dict[str, Any]:
    """The schema for this input, or Kong's error map when its name selects none."""
    name = raw.get("name")
    if name is None:
        return {"name": "required field missing"}
    if not isinstance(name, str):
        return {"name": "expected a string"}
    if name not in VAULTS:
        return {"name": f"vault '{name}' is not installed"}
    config = {"record": schema_of(VAULTS[name]), "required": True, "abstract": False, "default": MISSING}
    return schema_of(Vault).varied({"config": config})
