"""Limits by period, shared by the plugins that count: their checks and their identifier."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.windows import SECONDS

NOBODY: Final = "00000000-0000-0000-0000-000000000000"


def falling_limits(limits: Mapping[str, Any], the: str) -> str | None:
    """Kong's words for a longer period that allows less than a shorter one; `the` begins them."""
    shorter: tuple[str, float] | None = None
    for period in SECONDS:
        limit = limits.get(period)
        if not isinstance(limit, int | float):
            continue
        if shorter is not None and limit < shorter[1]:
            return (
                f"{the} limit for {period}({limit:.1f}) cannot be lower than "
                f"the limit for {shorter[0]}({shorter[1]:.1f})"
            )
        shorter = (period, limit)
    return None


def caller_id(ex: Exchange, limit_by: str) -> str:
    """Whom a count belongs to: the consumer or credential, else the client's address."""
    if limit_by == "credential" and ex.credential is not None:
        return ex.credential.id
    if limit_by == "consumer":
        if ex.consumer is not None:
            return ex.consumer.id
        if ex.credential is not None:
            return ex.credential.id
    return ex.client_ip


def shown(limit: float) -> str:
    """A limit as headers show it: whole numbers without a point."""
    return str(int(limit)) if limit == int(limit) else str(limit)
