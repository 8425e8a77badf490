"""Certificates by the plugin `acme`: asked for by an operator, and looked at. Texts are Kong's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from tollhouse.admin.failures import absent, told
from tollhouse.admin.http import Answer, Call, Endpoints
from tollhouse.errors import PeerError
from tollhouse.pdk.acme import Domains, NotIssued
from tollhouse.stores.values import ValuesError


class Described(Protocol):
    def shown(self, host: str) -> dict[str, Any]: ...


class Configured(Protocol):
    @property
    def domains(self) -> Domains: ...


class Certificates(Protocol):
    """What keeps them."""

    @property
    def order(self) -> Configured | None: ...

    async def create(self, host: str) -> None: ...

    def renew_due(self) -> None: ...

    async def certificates(self) -> Mapping[str, Described]: ...

    async def certificate(self, host: str) -> Described | None: ...

    async def challenge_arrives(self, host: str) -> str | None: ...


class Keeping(Protocol):
    """What these endpoints ask of the control process."""

    @property
    def certificates(self) -> Certificates: ...


def acme_endpoints(control: Keeping) -> Endpoints:
    """As in Kong, 404 without the plugin."""
    api = _Api(control)
    return {
        "/acme": {"POST": api.create, "PATCH": api.renew},
        "/acme/certificates": {"GET": api.show_all},
        "/acme/certificates/{certificates}": {"GET": api.show},
    }


class _Api:
    def __init__(self, control: Keeping) -> None:
        self._control = control

    async def create(self, call: Call) -> Answer:
        certificates = self._configured()
        form = call.form()
        host = form.get("host") or call.argument("host")
        if not isinstance(host, str) or not host:
            raise told(400, "host must be provided and containing a single domain")
        if ":" in host:
            raise told(400, "port is not allowed in host")
        host = host.lower()
        if str(form.get("test_http_challenge_flow", "")).lower() == "true":
            return await self._probe(certificates, host)
        with _told():
            await certificates.create(host)
        return Answer(201, {"message": f"certificate for host {host} is created"})

    async def _probe(self, certificates: Certificates, host: str) -> Answer:
        order = certificates.order
        problem: str | None = "host is not included in plugin config.domains"
        if order is not None and order.domains.has(host):
            problem = await certificates.challenge_arrives(host)
        if problem is not None:
            raise told(400, f"problem found running sanity check for {host}: {problem}")
        return Answer(200, {"message": f"sanity test for host {host} passed"})

    async def renew(self, call: Call) -> Answer:
        self._configured().renew_due()
        return Answer(202, {"message": "Renewal process started successfully"})

    async def show_all(self, call: Call) -> Answer:
        certificates = self._configured()
        with _told():
            found = [kept.shown(host) for host, kept in (await certificates.certificates()).items()]
        invalid_only = call.argument("invalid_only") not in (None, "false")
        return Answer(body={"data": [each for each in found if not (invalid_only and each["valid"])]})

    async def show(self, call: Call) -> Answer:
        certificates = self._configured()
        host = call.parameters["certificates"]
        with _told():
            kept = await certificates.certificate(host)
        if kept is None:
            raise told(404, f"Certificate for host {host} not found in storage")
        return Answer(body={"data": kept.shown(host)})

    def _configured(self) -> Certificates:
        certificates = self._control.certificates
        with _told():
            if certificates.order is None:
                raise absent()
        return certificates


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotIssued as problem:
        raise told(500, f"failed to update certificate: {problem}") from problem
    except (PeerError, ValuesError) as problem:
        raise told(500, str(problem)) from problem
