"""The `env` vault: `{vault://env/my-key}` stands for the environment variable MY_KEY, as in Kong.

https://docs.konghq.com/gateway/latest/kong-enterprise/secrets-management/backends/env/
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

log = logging.getLogger("tollhouse.vault")

_REFERENCE: Final = re.compile(r"\{vault://([^/}]+)/([^/}]+)(?:/([^/}]+))?\}")


class EnvVault:
    """Resolves references of plugin settings against an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def resolved(self, value: Any) -> Any:
        """The value with every reference in it replaced; one that stands for nothing becomes empty, as
        in Kong, and is logged by its name."""
        if isinstance(value, str):
            found = _REFERENCE.fullmatch(value)
            return value if found is None else self._secret(value, *found.groups())
        if isinstance(value, Mapping):
            return {name: self.resolved(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.resolved(member) for member in value)
        return value

    def _secret(self, reference: str, vault: str, name: str, member: str | None) -> str:
        if vault != "env":
            log.error("%s: only the vault 'env' is supported by this version of Tollhouse", reference)
            return ""
        secret = self._environment.get(name.upper().replace("-", "_"))
        if secret is not None and member is not None:
            secret = _member(secret, member)
        if secret is None:
            log.error("%s stands for nothing: the environment has no such variable", reference)
            return ""
        return secret


def _member(secret: str, name: str) -> str | None:
    """`{vault://env/my-keys/first}` means a member of a JSON object."""
    try:
        members = msgspec.json.decode(secret, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    found = members.get(name)
    return None if found is None else str(found)
