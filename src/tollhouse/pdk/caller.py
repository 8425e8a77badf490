"""Who is calling: a consumer, the credential that proves it, and what the upstream is told of both."""

from functools import cached_property

from tollhouse.model.entities import Consumer, Credential
from tollhouse.wire.fields import FieldSet, WireField, wire_field


class Caller:
    """A consumer with a credential, or an anonymous one without."""

    def __init__(self, consumer: Consumer | None, credential: Credential | None) -> None:
        self.consumer = consumer
        self.credential = credential
        #: the credential has an end, which must be looked at each time
        self.has_end = getattr(credential, "ttl", None) is not None

    @cached_property
    def fields(self) -> FieldSet:
        """The request headers that tell the upstream. Whatever a client may have forged gives way."""
        told: list[WireField] = []
        unwanted: list[str] = []

        def tell(name: str, value: str | None) -> None:
            if value is None:
                unwanted.append(name.lower())
            else:
                told.append(wire_field(name, value))

        if self.consumer is not None:
            tell("X-Consumer-ID", self.consumer.id)
            tell("X-Consumer-Custom-ID", self.consumer.custom_id)
            tell("X-Consumer-Username", self.consumer.username)
        tell("X-Credential-Identifier", self.credential.identifier if self.credential is not None else None)
        tell("X-Anonymous-Consumer", "true" if self.credential is None else None)
        return FieldSet.of(told, unwanted)
