"""Puts proof of a cloud's credentials on a request that is otherwise complete."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.errors import PeerError
from tollhouse.llm.form import Refusal
from tollhouse.llm.signing.aws import AwsCredentials, signed_fields
from tollhouse.pdk import Exchange
from tollhouse.pdk.services import Renewed

_JSON: Final = "application/json"


class Signer:
    """Signs at once while credentials are fresh, else after they have been renewed."""

    def __init__(self, source: Renewed[Any], put: Callable[[Exchange, Any], None]) -> None:
        self._source = source
        self._put = put

    def sign(self, ex: Exchange) -> Awaitable[None] | None:
        """Raises `Refusal`, also when awaited, if there are no credentials."""
        value = self._source.current()
        if value is None:
            return self._later(ex)
        self._put(ex, value)
        return None

    async def _later(self, ex: Exchange) -> None:
        try:
            value = await self._source.renew()
        except PeerError as error:
            raise Refusal(str(error), 502) from error
        self._put(ex, value)


def put_token(ex: Exchange, token: str) -> None:
    """A bearer token."""
    ex.request.headers.set("Authorization", f"Bearer {token}")


@dataclass(frozen=True, slots=True)
class AwsSignature:
    """AWS Signature Version 4 for one region and service. `clock` is in seconds since the epoch."""

    region: str
    service: str
    clock: Callable[[], float]

    def put(self, ex: Exchange, credentials: AwsCredentials) -> None:
        request = ex.request
        path, _, query = (ex.upstream_target or "/").partition("?")
        request.headers.set("Content-Type", _JSON)
        fields = signed_fields(
            *(request.method, ex.upstream_host or "", path, query, (("Content-Type", _JSON),)),
            request.content or b"",
            credentials,
            region=self.region,
            service=self.service,
            instant=self.clock(),
        )
        for name, value in fields.items():
            request.headers.set(name, value)
