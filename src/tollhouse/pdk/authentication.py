"""What all plugins that find out who calls have in common, so that several of them can stand together.

Without `anonymous` each must recognise the caller. With it one is enough: those that come after it are
skipped, and a caller whom none recognises is the anonymous consumer.
"""

from collections.abc import Awaitable
from typing import ClassVar, Generic, Protocol, TypeVar

from tollhouse.errors import Reject
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.plugin import Plugin


class _Settings(Protocol):
    @property
    def anonymous(self) -> str | None: ...


A = TypeVar("A", bound=_Settings)


class Authentication(Plugin[A], Generic[A]):
    """A plugin whose `recognise` says who calls."""

    forbidden_scopes: ClassVar[frozenset[str]] = frozenset({"consumer", "consumer_group"})

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        if self.skips(ex) or (self.conf.anonymous is not None and ex.credential is not None):
            return None
        try:
            caller = self.recognise(ex)
        except Reject as refusal:
            self.unrecognised(ex, refusal)
            return None
        ex.authenticate(caller)
        return None

    def skips(self, ex: Exchange) -> bool:
        """Whether this request is none that has to say who calls."""
        return False

    def recognise(self, ex: Exchange) -> Caller:
        """Who calls. Raises `Reject` if the request does not prove it."""
        raise Reject(401, "Unauthorized")

    def unrecognised(self, ex: Exchange, refusal: Reject) -> None:
        """Goes on with the anonymous consumer. Raises the refusal if none is configured."""
        name = self.conf.anonymous
        if name is None:
            raise refusal
        consumer = self.services.directory.consumer(name)
        if consumer is None:
            raise Reject(500, f"anonymous consumer {name} is configured but doesn't exist")
        ex.authenticate(Caller(consumer, None))
