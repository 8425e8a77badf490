"""What the environment says of a setting, and what it leaves out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tollhouse.errors import ConfigError

_PREFIXES: Final = ("TOLLHOUSE_", "KONG_")


def given(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str | None]:
    """The variable that is set, and its text."""
    for name in names:
        for prefix in _PREFIXES:
            value = environment.get(prefix + name)
            if value is not None:
                return prefix + name, value.strip()
    return f"KONG_{names[0]}", None


def half_a_pair(values: Mapping[str, Any]) -> list[ConfigError]:
    """A certificate without its key, or a key without its certificate."""
    names = ("ssl_cert", "admin_ssl_cert", "client_ssl_cert")
    pairs = tuple((name, f"{name}_key") for name in names)
    for given, missing in (*pairs, *(pair[::-1] for pair in pairs)):
        if values.get(given) and not values.get(missing, "wrong already"):
            return [ConfigError(f"KONG_{missing.upper()}", f"needed because KONG_{given.upper()} is set")]
    if values.get("client_ssl") and not values.get("client_ssl_cert", "wrong already"):
        return [ConfigError("KONG_CLIENT_SSL_CERT", "needed because KONG_CLIENT_SSL is on")]
    return []


def default_prefix(environment: Mapping[str, str]) -> str:
    """The folder for state of this user's programs."""
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/tmp")) / ".local/state")  # noqa: S108
    return str(Path(state) / "tollhouse")
