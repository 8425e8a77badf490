"""Certificates that an authority gives out (ACME): what a worker knows of them, as control tells it."""

from collections.abc import Callable

from tollhouse.model.entities import Certificate


class Issuing:
    """`pdk.acme.Issuing`, and what is shown by it."""

    def __init__(self) -> None:
        #: of the account's key; answers challenges
        self.thumbprint: str | None = None
        self.certificates: dict[str, Certificate] = {}
        #: tells control which name a client has asked for that there is no certificate for
        self.tell: Callable[[str], None] | None = None

    def want(self, name: str) -> None:
        if self.tell is not None:
            self.tell(name)

    def add(self, name: str, certificate: str, key: str) -> None:
        """There is a certificate for that name, PEM."""
        self.certificates[name] = Certificate(id=name, cert=certificate, key=key)
