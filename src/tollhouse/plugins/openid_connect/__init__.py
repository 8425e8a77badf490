"""openid-connect: a caller shows a token of an identity provider such as Keycloak, Okta or Entra.

JSON Web Tokens are verified with the provider's keys, which its discovery document tells; other tokens are
asked for at its introspection or userinfo endpoint. The gateway never sends a caller to a log-in page.
"""

import logging
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tollhouse.model.entities import Consumer, Ref
from tollhouse.pdk import Exchange, Reject, jws
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.body import body_arguments, without_body_arguments
from tollhouse.pdk.caller import Caller
from tollhouse.plugins.openid_connect.claims import Requirements, claim, text, words
from tollhouse.plugins.openid_connect.config import Config, HeaderOfClaim
from tollhouse.plugins.openid_connect.provider import Provider, Unavailable
from tollhouse.wire.cookies import cookies
from tollhouse.wire.uri import without_arguments

_ARGUMENT: Final = "access_token"
_BEARER: Final = re.compile(r"[Bb]earer +(\S+) *")
_BODY_LIMIT: Final = 1024 * 1024
_TOKENS_KNOWN: Final = 10_000

log = logging.getLogger("tollhouse.openid_connect")


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """What stands for a caller without a credential of the gateway's own."""

    id: str
    identifier: str
    consumer: Ref | None = None


@dataclass(slots=True)
class _Known:
    """What has been found out of a token. Instants in seconds since the epoch."""

    claims: Mapping[str, Any]
    remembered_until: float
    #: when the token itself ends
    ends: float = float("inf")
    caller: Caller | None = None


class OpenidConnect(Authentication[Config]):
    name = "openid-connect"
    priority = 1050
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        self._provider = Provider(conf, self.services)
        self._requirements = Requirements(conf)
        self._known: dict[str, _Known] = {}
        own = (conf.consumer_claim,) if conf.consumer_claim else ()
        self._paths = (*own, *(conf.consumer_claims or ()))
        self._upstream = _headers(
            conf.upstream_headers_names, conf.upstream_headers_claims, conf.upstream_headers
        )
        self._downstream = _headers(
            conf.downstream_headers_names, conf.downstream_headers_claims, conf.downstream_headers
        )
        name, _, scheme = (conf.upstream_access_token_header or "").partition(":")
        self._token_header, self._scheme = name, "Bearer " if scheme.lower() == "bearer" else ""
        self._realm = urlsplit(conf.issuer).netloc
        in_body = "body" in conf.bearer_token_param_type
        self.request_body_limit = _BODY_LIMIT if in_body and conf.bearer_token_header_name is None else None

    def skips(self, ex: Exchange) -> bool:
        return ex.request.method == "OPTIONS" and not self.conf.run_on_preflight

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        if self.skips(ex) or (self.conf.anonymous is not None and ex.credential is not None):
            return None
        found = self._token(ex)
        if found is None:
            self.unrecognised(ex, self._refusal(401))
            return None
        token, place = found
        known = self._known.get(token)
        if known is None or known.remembered_until <= self.services.wall_clock():
            return self._find_out(ex, token, place)
        self._admit(ex, token, place, known)
        return None

    async def _find_out(self, ex: Exchange, token: str, place: str) -> None:
        try:
            known = await self._prove(token)
        except Unavailable as problem:
            log.error("openid-connect cannot tell who calls: %s", problem)
            raise Reject(500) from None
        if known.remembered_until > self.services.wall_clock():
            if len(self._known) >= _TOKENS_KNOWN:
                self._known.clear()
            self._known[token] = known
        self._admit(ex, token, place, known)

    # Finding tokens

    def _token(self, ex: Exchange) -> tuple[str, str] | None:
        """The token, and where it stands."""
        conf, values = self.conf, ex.request.headers.values
        for place in sorted(conf.bearer_token_param_type, key=("header", "cookie", "query", "body").index):
            given: Any = None
            if place == "header":
                if conf.bearer_token_header_name is not None:
                    given = values.get(conf.bearer_token_header_name.lower(), "").removeprefix("Bearer ")
                elif bearer := _BEARER.fullmatch(values.get("authorization", "")):
                    given = bearer[1]
            elif place == "cookie" and conf.bearer_token_cookie_name is not None:
                given = cookies(ex.request.headers).get(conf.bearer_token_cookie_name)
            elif place == "query" and ex.request.target.query:
                given = ex.request.arguments().get(_ARGUMENT)
            elif place == "body" and self.request_body_limit is not None:
                given = body_arguments(ex.request).get(_ARGUMENT)
            if isinstance(given, str) and given:
                return given, place
        return None

    # Proving them

    async def _prove(self, token: str) -> _Known:
        """What a token says, or nothing if it is not good."""
        is_jwt = token.count(".") == 2
        methods = self.conf.auth_methods
        if is_jwt and "bearer" in methods and not self.conf.introspect_jwt_tokens:
            return await self._verified(token)
        now, conf = self.services.wall_clock(), self.conf
        if "introspection" in methods:
            claims: Mapping[str, Any] | None = await self._provider.introspect(token)
            if claims is not None and conf.introspection_check_active and claims.get("active") is not True:
                claims = None
            return self._remembered(claims, now, cached=conf.cache_introspection)
        if "userinfo" in methods:
            found = await self._provider.user_info(token)
            return self._remembered(found, now, cached=conf.cache_user_info)
        return _Known({}, 0, ends=0)

    async def _verified(self, text: str) -> _Known:
        conf, now = self.conf, self.services.wall_clock()
        try:
            token = jws.read(text)
        except jws.BadToken:
            return _Known({}, 0, ends=0)
        claims = token.claims
        if not isinstance(claims, dict) or not await self._is_signed(token):
            return _Known({}, 0, ends=0)
        if conf.verify_claims and not self._is_from_the_provider(claims, now):
            return _Known({}, 0, ends=0)
        return self._remembered(claims, now, cached=conf.cache_tokens)

    async def _is_signed(self, token: jws.Token) -> bool:
        if not self.conf.verify_signature:
            return True
        algorithm = token.algorithm
        if algorithm in jws.SYMMETRIC:
            secrets = (self.conf.client_secret or ()) if self.conf.enable_hs_signatures else ()
            verifiers = tuple(jws.with_secret(algorithm, secret.encode()) for secret in secrets)
        else:
            key_id = token.header.get("kid")
            verifiers = await self._provider.verifiers(key_id if isinstance(key_id, str) else None, algorithm)
        return any(verify(token.signed, token.signature) for verify in verifiers)

    def _is_from_the_provider(self, claims: Mapping[str, Any], now: float) -> bool:
        begins = claims.get("nbf", 0)
        if claims.get("iss") not in (self._provider.issuer, *(self.conf.issuers_allowed or ())):
            return False
        return isinstance(begins, int | float) and begins <= now + self.conf.leeway

    def _remembered(self, claims: Mapping[str, Any] | None, now: float, *, cached: bool) -> _Known:
        """What is known from now on of a token with these claims, or of a bad one."""
        conf = self.conf
        if claims is None:
            return _Known({}, now + (conf.cache_ttl_neg or 0), ends=0)
        expires = claims.get("exp")
        ends = expires + conf.leeway if isinstance(expires, int | float) else float("inf")
        if not conf.verify_claims:
            ends = float("inf")
        longest = float("inf") if conf.cache_ttl_max is None else conf.cache_ttl_max
        seconds = min(max(conf.cache_ttl, conf.cache_ttl_min or 0), longest)
        return _Known(claims, now + seconds if cached else 0, ends=ends)

    # Letting callers in

    def _admit(self, ex: Exchange, token: str, place: str, known: _Known) -> None:
        if known.ends <= self.services.wall_clock():
            self.unrecognised(ex, self._refusal(401, "invalid_token"))
            return
        claims, conf = known.claims, self.conf
        if not self._requirements.are_met(claims):
            raise self._refusal(403, "insufficient_scope")
        caller = self._caller(known)
        if conf.authenticated_groups_claim:
            ex.authenticated_groups = words(claim(claims, conf.authenticated_groups_claim))
        ex.authenticate(caller)
        self._pass_on(ex, token, place)
        for name, path in self._upstream:
            _tell(ex, name, text(claim(claims, path)))
        for name, path in self._downstream:
            if (value := text(claim(claims, path))) is not None:
                ex.set_early_header(name, value)

    def _caller(self, known: _Known) -> Caller:
        consumer = self._consumer(known.claims)
        if known.caller is None or known.caller.consumer is not consumer:
            name = text(claim(known.claims, self.conf.credential_claim)) or ""
            credential = TokenCredential(name, name, Ref(consumer.id) if consumer else None)
            known.caller = Caller(consumer, credential)
        return known.caller

    def _consumer(self, claims: Mapping[str, Any]) -> Consumer | None:
        if not self._paths:
            return None
        directory = self.services.directory
        for path in self._paths:
            name = text(claim(claims, path))
            for field in self.conf.consumer_by if name else ():
                consumer = directory.consumer_by(field, name or "")
                if consumer is not None:
                    return consumer
        if self.conf.consumer_optional:
            return None
        raise self._refusal(403)

    def _pass_on(self, ex: Exchange, token: str, place: str) -> None:
        """Takes the token from where it was, and tells it in the header for the upstream."""
        conf, request = self.conf, ex.request
        if conf.hide_credentials:
            if place == "header":
                header = (conf.bearer_token_header_name or "authorization").lower()
                if header != self._token_header.lower():
                    request.headers.remove(header)
            elif place == "query" and ex.matched is not None and request.target.query is not None:
                query = without_arguments(request.target.query, frozenset((_ARGUMENT,)))
                path = ex.matched.upstream_path
                ex.upstream_target = f"{path}?{query}" if query else path
            elif place == "body":
                request.replace_content(without_body_arguments(request, frozenset((_ARGUMENT,))))
            elif place == "cookie":
                kept = cookies(request.headers)
                kept.pop(conf.bearer_token_cookie_name or "", None)
                _tell(ex, "Cookie", "; ".join(f"{name}={value}" for name, value in kept.items()) or None)
        if self._token_header:
            value = f"{self._scheme}{token}"
            if request.headers.values.get(self._token_header.lower()) != value:
                request.headers.set(self._token_header, value)

    def _refusal(self, status: int, code: str | None = None) -> Reject:
        conf = self.conf
        challenge = f'Bearer realm="{self._realm}"'
        if code is not None and conf.expose_error_code:
            challenge += f', error="{code}"'
        message = conf.unauthorized_error_message if status == 401 else conf.forbidden_error_message
        return Reject(status, message, headers={"WWW-Authenticate": challenge})


def _headers(
    names: Iterable[str] | None, claims: Iterable[str] | None, nested: Iterable[HeaderOfClaim] | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Header and path of every claim that is told."""
    plain = zip(names or (), ((name,) for name in claims or ()), strict=True)
    return (*plain, *((each.header, each.path) for each in nested or ()))


def _tell(ex: Exchange, name: str, value: str | None) -> None:
    """Sets a header for the upstream; without a value takes away what the client has put there."""
    if value is None:
        ex.request.headers.remove(name.lower())
    else:
        ex.request.headers.set(name, value)
