"""acme: certificates from Let's Encrypt and other authorities that speak ACME (RFC 8555), kept fresh.

A client that asks for one of `domains` in the TLS handshake sets it going: the node's control process orders
a certificate, the authority asks for `/.well-known/acme-challenge/` over HTTP, which is answered here before
routes are looked at, and the next handshakes show the certificate. Until then the listener's own is shown, as
in Kong. Certificates are renewed before they end. Unlike in Kong no challenge is stored: its answer follows
from the account's key, which all nodes that use a storage share. Needs the extra `acme`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

from tollhouse.model.checks import Conditional, Custom
from tollhouse.model.shorthands import Shorthand
from tollhouse.model.validators import route_host, shared_dictionary, url
from tollhouse.pdk import Exchange, Plugin, Reject, item, setting
from tollhouse.pdk.acme import CHALLENGE_PATH, AcmeRedis, Domains, key_authorization
from tollhouse.pdk.redis import redis_problem

_LETS_ENCRYPT: Final = (
    "https://acme-v02.api.letsencrypt.org",
    "https://acme-staging-v02.api.letsencrypt.org",
)
#: what Kong asks to see whether challenges arrive at all
_PROBE: Final = "x"


def _storage(name: str) -> str | None:
    if name in ("consul", "vault"):
        return f"'{name}' is not supported: use redis, kong (with a database) or shm"
    return None


def _unused(name: str, defaults: Mapping[str, Any]) -> Shorthand:
    """The block of a storage that is not there or has no settings, as Kong's exports have it."""

    def problem(block: Any) -> str | None:
        if not isinstance(block, Mapping):
            return "expected a record"
        given = [key for key, value in block.items() if value is not None and value != defaults.get(key, {})]
        return (
            f"not supported: {given[0]} is for a storage that this gateway does not have" if given else None
        )

    return Shorthand(name, "any", lambda _: {}, {"validator": problem})


def _problem(config: Mapping[str, Any]) -> str | None:
    if find_spec("acme") is None:
        return "asking for certificates needs the extra: pip install 'tollhouse[acme]'"
    if config.get("storage") == "redis":
        return redis_problem({"redis": config["storage_config"]["redis"]})
    return None


def _problem_without_database(config: Mapping[str, Any]) -> str | None:
    if config.get("storage") == "kong":
        return '"kong" storage can\'t be used with dbless mode'
    return _problem(config)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    key_id: str = setting(required=True, doc="The `kid` of an entity of `/keys`, with its private key.")
    key_set: str | None = setting(None, doc="The name of the set that the key is in.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shm:
    shm_name: str = setting(
        "kong", validator=shared_dictionary, doc="There is one place: the folder `acme` under `KONG_PREFIX`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    shm: Shm = setting(Shm, required=True, doc="For storage `shm`.")
    redis: AcmeRedis = setting(AcmeRedis, required=True, doc="The server for storage `redis`.")

    SHORTHANDS = (
        _unused("kong", {}),
        _unused("consul", {"https": False}),
        _unused("vault", {"https": False, "tls_verify": True, "auth_method": "token"}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    account_email: str = setting(
        required=True,
        referenceable=True,
        encrypted=True,
        match=r"%w*%p*@+%w*%.?%w*",
        doc="Whom the authority may write to.",
    )
    account_key: AccountKey | None = setting(
        None, required=False, doc="The account's key; else one is made and kept in the storage."
    )
    api_uri: str = setting(
        "https://acme-v02.api.letsencrypt.org/directory",
        validator=url,
        doc="The authority's directory; a URI without a path means its `/directory`.",
    )
    tos_accepted: bool = setting(False, doc="Agree to the authority's terms of service.")
    eab_kid: str | None = setting(
        None,
        referenceable=True,
        encrypted=True,
        doc="Key id of an account at the authority (RFC 8555 7.3.4).",
    )
    eab_hmac_key: str | None = setting(None, referenceable=True, encrypted=True, doc="Its key, as base64url.")
    cert_type: Literal["rsa", "ecc"] = setting("rsa", doc="The kind of a certificate's key.")
    rsa_key_size: float = setting(4096, one_of=(2048, 3072, 4096), doc="Bits of an RSA key.")
    renew_threshold_days: float = setting(14, doc="Days before its end at which a certificate is renewed.")
    domains: tuple[str, ...] | None = setting(
        None,
        items=item(
            match_all=(("^[^*]*%*?[^*]*$", "invalid wildcard: must have at most one wildcard"),),
            match_any=(
                ("^%*%.", "%.%*$", "^[^*]*$"),
                "invalid wildcard: must be placed at leftmost or rightmost label",
            ),
            validator=route_host,
        ),
        doc="Names that certificates are asked for; `*.` or `.*` stand for any label, each gets its own.",
    )
    allow_any_domain: bool = setting(False, doc="Ask for any name that clients ask for.")
    fail_backoff_minutes: float = setting(5, doc="Minutes until a name that failed is tried again.")
    storage: Literal["kong", "shm", "redis", "consul", "vault"] = setting(
        "shm", validator=_storage, doc="Where account and certificates are kept."
    )
    storage_config: StorageConfig = setting(StorageConfig, required=True, doc="Settings of the storages.")
    preferred_chain: str | None = setting(
        None, doc="The chain to take if several are offered: the common name of its topmost issuer."
    )
    enable_ipv4_common_name: bool = setting(True, doc="Ask for certificates of IPv4 addresses, too.")

    CHECKS = (
        *(
            Conditional(
                "config.api_uri",
                {"one_of": _LETS_ENCRYPT},
                "config.tos_accepted",
                {"eq": True},
                err="terms of service must be accepted, see https://letsencrypt.org/repository/",
            ),
        ),
        Conditional(
            "config.storage", {"eq": "redis"}, "config.storage_config.redis.host", {"required": True}
        ),
        Conditional(
            "config.storage", {"eq": "redis"}, "config.storage_config.redis.port", {"required": True}
        ),
        Custom(_problem),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWithoutDatabase(Config):
    CHECKS = (*Config.CHECKS[:-1], Custom(_problem_without_database))


class Acme(Plugin[Config]):
    name = "acme"
    priority = 1705
    Config = Config
    ConfigWithoutDatabase = ConfigWithoutDatabase
    forbidden_scopes = frozenset({"service", "route", "consumer", "consumer_group"})

    def prepare(self) -> None:
        conf = self.conf
        self._domains = Domains.of(
            {
                "domains": conf.domains,
                "allow_any_domain": conf.allow_any_domain,
                "enable_ipv4_common_name": conf.enable_ipv4_common_name,
            }
        )

    def rewrite(self, ex: Exchange) -> None:
        path = ex.request.target.path
        if not path.startswith(CHALLENGE_PATH) or ex.client.scheme != "http":
            return
        host = (ex.request.headers.values.get("host") or "").lower().partition(":")[0]
        token = path[len(CHALLENGE_PATH) :]
        if not token or not self._domains.has(host):
            return
        thumbprint = self.services.issuing.thumbprint
        answer = key_authorization(token, thumbprint) if thumbprint is not None else None
        if answer is None or token == _PROBE:
            raise Reject(404, body="Not found\n")
        raise Reject(200, body=answer, headers={"Content-Type": "text/plain; charset=utf-8"})
