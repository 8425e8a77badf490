"""The identity provider: its discovery document, its keys, and what it says of tokens.

Documents are remembered; one that cannot be renewed is used on. A key that is not known makes the gateway
look again, for providers rotate them, but not more often than `rediscovery_lifetime` lets it.

https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7517 (keys), RFC 7662 (introspection)
"""

import asyncio
import base64
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from tollhouse.errors import UpstreamFault
from tollhouse.pdk import Services, jws
from tollhouse.plugins.openid_connect.config import Config

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_TYPES: Final[Mapping[str, str]] = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

log = logging.getLogger("tollhouse.openid_connect")


class Unavailable(Exception):
    """The provider does not say what has to be known; says why."""


class Provider:
    """One provider, as one configuration knows it."""

    def __init__(self, conf: Config, services: Services) -> None:
        self._conf = conf
        self._services = services
        self._document: Mapping[str, Any] = {}
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._verifiers: dict[tuple[str | None, str], tuple[jws.Verify, ...]] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._authorization = _basic(conf)

    @property
    def issuer(self) -> str:
        """The name that its tokens carry."""
        return str(self._document.get("issuer") or self._conf.issuer.removesuffix(_WELL_KNOWN))

    async def verifiers(self, key_id: str | None, algorithm: str) -> tuple[jws.Verify, ...]:
        """What may verify a token of that key and algorithm; empty if the provider has no such key."""
        await self._discover(older_than=self._conf.cache_ttl)
        found = self._made(key_id, algorithm)
        if not found:
            await self._discover(older_than=self._conf.rediscovery_lifetime)
            found = self._made(key_id, algorithm)
        return found

    async def introspect(self, token: str) -> Mapping[str, Any]:
        """What the provider says of a token (RFC 7662). Raises `Unavailable`."""
        conf = self._conf
        endpoint = conf.introspection_endpoint or await self._endpoint("introspection_endpoint")
        form = [
            (conf.introspection_token_param_name, token),
            ("token_type_hint", conf.introspection_hint),
            *_zip(conf.introspection_post_args_names, conf.introspection_post_args_values),
        ]
        headers = list(_zip(conf.introspection_headers_names, conf.introspection_headers_values))
        method = conf.introspection_endpoint_auth_method or (conf.client_auth or ("client_secret_basic",))[0]
        if method == "client_secret_basic" and self._authorization:
            headers.append(("Authorization", self._authorization))
        elif method != "client_secret_basic" and conf.client_id:
            form.append(("client_id", conf.client_id[0]))
            if method == "client_secret_post":
                form.append(("client_secret", (conf.client_secret or ("",))[0]))
        headers += [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
        status, body = await self._send("POST", endpoint, headers, urlencode(form).encode())
        if status != 200:
            raise Unavailable(f"{endpoint} answers {status}")
        return _object(body, endpoint)

    async def user_info(self, token: str) -> Mapping[str, Any] | None:
        """Who the provider says a token is for; `None` if it does not take the token."""
        endpoint = self._conf.userinfo_endpoint or await self._endpoint("userinfo_endpoint")
        headers = [("Authorization", f"Bearer {token}"), ("Accept", "application/json")]
        status, body = await self._send("GET", endpoint, headers)
        if status in (400, 401, 403):
            return None
        if status != 200:
            raise Unavailable(f"{endpoint} answers {status}")
        return _object(body, endpoint)

    async def _endpoint(self, name: str) -> str:
        await self._discover(older_than=self._conf.cache_ttl)
        endpoint = self._document.get(name)
        if not isinstance(endpoint, str):
            raise Unavailable(f"the discovery document of {self._conf.issuer} has no {name}")
        return endpoint

    # Documents

    async def _discover(self, *, older_than: float) -> None:
        """Looks again if what is known is older than that, in seconds. Raises `Unavailable` if nothing is."""
        async with self._asking:
            now = self._services.clock()
            if now - self._asked_at < older_than:
                return
            try:
                await self._ask()
            except Unavailable as problem:
                # Until the next look, so that a provider in trouble is not asked by every request.
                self._asked_at = now - self._conf.cache_ttl + self._conf.rediscovery_lifetime
                if not self._document:
                    self._asked_at = float("-inf")
                    raise
                log.warning("openid-connect goes on with what it knows: %s", problem)

    async def _ask(self) -> None:
        conf, asked_at = self._conf, self._services.clock()
        address = conf.issuer if _WELL_KNOWN in conf.issuer else conf.issuer.rstrip("/") + _WELL_KNOWN
        document = await self._get(address)
        uris = [conf.jwks_endpoint or document.get("jwks_uri"), *(conf.extra_jwks_uris or ())]
        keys: list[Mapping[str, Any]] = []
        for uri in uris:
            if isinstance(uri, str):
                keys += [key for key in (await self._get(uri)).get("keys", ()) if isinstance(key, dict)]
        self._document, self._keys, self._asked_at = document, tuple(keys), asked_at
        self._verifiers.clear()

    async def _get(self, address: str) -> Mapping[str, Any]:
        status, body = await self._send("GET", address, [("Accept", "application/json")])
        if status != 200:
            raise Unavailable(f"{address} answers {status}")
        return _object(body, address)

    async def _send(
        self, method: str, address: str, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> tuple[int, bytes]:
        conf = self._conf
        try:
            answer = await self._services.http.request(
                method,
                address,
                headers=headers,
                body=body,
                timeout_seconds=conf.timeout / 1000,
                verify=conf.ssl_verify,
            )
        except (UpstreamFault, ValueError) as problem:
            raise Unavailable(f"{address}: {problem}") from None
        return answer.status, answer.body

    # Keys

    def _made(self, key_id: str | None, algorithm: str) -> tuple[jws.Verify, ...]:
        found = self._verifiers.get((key_id, algorithm))
        if found is None:
            fitting = [key for key in self._keys if _fits(key, key_id, algorithm)]
            found = tuple(verify for key in fitting if (verify := _verify(key, algorithm)) is not None)
            if found:
                self._verifiers[(key_id, algorithm)] = found
        return found


def _fits(key: Mapping[str, Any], key_id: str | None, algorithm: str) -> bool:
    return (
        key.get("kty") == _TYPES.get(algorithm[:2])
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    )


def _verify(key: Mapping[str, Any], algorithm: str) -> jws.Verify | None:
    try:
        return jws.with_key(algorithm, _public_key(key))
    except (jws.BadKey, ValueError, TypeError, KeyError) as problem:
        log.warning("a key of an identity provider cannot be used: %s", problem)
        return None


def _public_key(key: Mapping[str, Any]) -> "PublicKeyTypes":
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    try:
        made: PublicKeyTypes = kinds[key["kty"]].import_key(dict(key)).public_key
    except JoseError as problem:
        raise ValueError(str(problem)) from None
    return made


def _object(body: bytes, address: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Unavailable(f"{address} does not answer a JSON object") from None


def _zip(names: tuple[str, ...] | None, values: tuple[str, ...] | None) -> Iterable[tuple[str, str]]:
    return zip(names or (), values or (), strict=True)


def _basic(conf: Config) -> str:
    """RFC 6749 2.3.1: both parts are form-encoded before they are put together."""
    if not conf.client_id:
        return ""
    secret = (conf.client_secret or ("",))[0]
    pair = f"{quote(conf.client_id[0], safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
