"""Vaults: `{vault://env/my-key}` stands for the environment variable MY_KEY, `{vault://file/db}` for a file.

Kong's references are `{vault://NAME/resource[/json-key][?setting=value][#version]}`, where NAME is a kind
of vault or the prefix of a vault entity. `env` is Kong's; `file`, for mounted secrets, is Tollhouse's own.

https://developer.konghq.com/gateway/entities/vault/
"""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tollhouse.model.constraints import is_reference
from tollhouse.model.entities import Vault

log = logging.getLogger("tollhouse.vault")

_REFERENCE: Final = re.compile(
    r"\{vault://(?P<vault>[^/?#}]+)/(?P<resource>[^/?#}]+)(?:/(?P<member>[^?#}]+))?"
    r"(?:\?(?P<settings>[^#}]*))?(?:#(?P<version>[0-9]+))?\}"
)
#: what the version before the current one is called
_PREVIOUS: Final = "2"


class Unresolvable(LookupError):
    """A reference stands for nothing; the text says why and holds no secret."""


class NoVault(Unresolvable):
    """There is no vault of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no vault '{name}', neither env, file nor the prefix of an entity")
        self.name = name


class Vaults:
    """Resolves references. Secrets are read anew each time, so that a reload takes rotated ones."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        env_prefix: str = "",
        file_prefix: str = "/run/secrets",
        entities: Iterable[Vault] = (),
    ) -> None:
        self._environment = environment
        self._prefixes = {"env": env_prefix, "file": file_prefix}
        self._entities = {vault.prefix: vault for vault in entities}

    def knowing(self, entities: Iterable[Vault]) -> "Vaults":
        """The same with other vault entities."""
        prefixes = self._prefixes
        return Vaults(
            self._environment,
            env_prefix=prefixes["env"],
            file_prefix=prefixes["file"],
            entities=entities,
        )

    def resolved(self, value: Any) -> Any:
        """The value with every reference in it replaced; one that stands for nothing becomes empty, as
        in Kong, and is logged by its name."""
        if isinstance(value, str):
            if not is_reference(value):
                return value
            try:
                return self.secret(value)
            except Unresolvable as error:
                log.error("%s stands for nothing: %s", value, error)
                return ""
        if isinstance(value, Mapping):
            return {name: self.resolved(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.resolved(member) for member in value)
        return value

    def secret(self, reference: str) -> str:
        """What a reference stands for. Raises `Unresolvable`."""
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise Unresolvable("expected {vault://name/resource} with /key, ?setting=value or #version")
        kind, settings = self._vault(found["vault"])
        settings = {**settings, **dict(parse_qsl(found["settings"] or ""))}
        prefix = settings.get("prefix") or self._prefixes[kind]
        if kind == "env":
            secret = self._variable(prefix + found["resource"], found["version"])
        else:
            secret = _file(prefix, found["resource"])
        return secret if found["member"] is None else _member(secret, found["member"])

    def _vault(self, name: str) -> tuple[str, Mapping[str, Any]]:
        if name in self._prefixes:
            return name, {}
        entity = self._entities.get(name)
        if entity is None:
            raise NoVault(name)
        return entity.name, entity.config

    def _variable(self, resource: str, version: str | None) -> str:
        name = resource.upper().replace("-", "_")
        secret = self._environment.get(f"{name}_PREVIOUS" if version == _PREVIOUS else name)
        if secret is None:
            raise Unresolvable("the environment has no such variable")
        return secret


def _file(folder: str, name: str) -> str:
    if name in (".", ".."):
        raise Unresolvable("a file's name is expected")
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise Unresolvable(f"the file cannot be read from {folder}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unresolvable("the file is not UTF-8 text") from None


def _member(secret: str, name: str) -> str:
    """`{vault://env/my-keys/first}` means a member of a JSON object."""
    try:
        members = msgspec.json.decode(secret, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Unresolvable("it holds no JSON object to take a key from") from None
    found = members.get(name)
    if found is None:
        raise Unresolvable(f"its JSON object has no key '{name}'")
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
