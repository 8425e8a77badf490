"""Which certificate is shown for the name that a client asks for, and which of clients' are accepted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tollhouse.model.entities import Certificate
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.acme import Domains

#: the plugins that ask clients for a certificate; they name authorities in `config.ca_certificates`
_ASKING: Final = frozenset({"mtls-auth"})
#: the plugin that gets certificates from an authority
_ISSUING: Final = "acme"


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a snapshot says of certificates. `authorities` are PEM: with none, clients are not asked."""

    names: Mapping[str, Certificate] = field(default_factory=dict)
    authorities: tuple[str, ...] = ()
    #: those that an authority gives out, by the names they are for; more may come
    issued: Mapping[str, Certificate] = field(default_factory=dict)
    #: the names that an authority is asked for
    domains: Domains | None = None

    @classmethod
    def of(
        cls, snapshot: Snapshot, resolved: Callable[[Any], Any], issued: Mapping[str, Certificate]
    ) -> "Certificates":
        """`resolved` puts secrets in the place of references to them."""
        known = {entity.id: _with_secrets(entity, resolved) for entity in snapshot.certificates}
        names = {
            sni.name.lower(): known[sni.certificate.id]
            for sni in snapshot.snis
            if sni.certificate.id in known
        }
        asked = {
            id_
            for plugin in snapshot.plugins
            if plugin.enabled and plugin.name in _ASKING
            for id_ in plugin.config.get("ca_certificates") or ()
        }
        authorities = sorted(entity.cert for entity in snapshot.ca_certificates if entity.id in asked)
        issuing = (plugin for plugin in snapshot.plugins if plugin.enabled and plugin.name == _ISSUING)
        domains = next((Domains.of(plugin.config) for plugin in issuing), None)
        return cls(names, tuple(authorities), issued, domains)

    def find(self, name: str | None) -> Certificate | None:
        """The certificate for a name, `None` for the listener's own: Kong's order of what may match."""
        found = next((self.names[each] for each in _candidates(name) if each in self.names), None)
        return self.issued.get(_plain(name)) if found is None and self.issues(name) else found

    def issues(self, name: str | None) -> bool:
        """Whether an authority is asked for a certificate where there is none."""
        return self.domains is not None and bool(name) and self.domains.has(_plain(name))


def _plain(name: str | None) -> str:
    return (name or "").lower().rstrip(".")


def _candidates(name: str | None) -> Iterator[str]:
    """A name, with its first and with its last label replaced by `*`, and what stands for any name."""
    if name:
        name = _plain(name)
        yield name
        _, dot, rest = name.partition(".")
        if dot:
            yield f"*.{rest}"
            yield f"{name.rpartition('.')[0]}.*"
    yield "*"


def _with_secrets(entity: Certificate, resolved: Callable[[Any], Any]) -> Certificate:
    parts = ("cert", "key", "cert_alt", "key_alt")
    secrets = {part: resolved(getattr(entity, part)) for part in parts}
    if all(value is getattr(entity, part) for part, value in secrets.items()):
        return entity
    return replace(entity, **secrets)
