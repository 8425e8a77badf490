"""jwt: a caller shows a signed JSON Web Token (RFC 7519).

A claim, `iss` unless told otherwise, names the credential whose key the signature is verified with. What has
been verified once is remembered until the credential changes; times are compared on every request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tollhouse.model.checks import Conditional
from tollhouse.model.entities import JwtSecret
from tollhouse.pdk import Exchange, Reject, jws, setting
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.lua import Shared
from tollhouse.wire.base64 import decoded
from tollhouse.wire.cookies import cookies

KIND: Final = "jwt_secrets"
_BEARER: Final = re.compile(r"\s*[Bb]earer\s+(.+)")
_TOKENS_KNOWN: Final = 4096
_YEAR: Final = 31_536_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    uri_param_names: tuple[str, ...] = setting(
        ("jwt",), as_set=True, doc="Query arguments that may hold the token."
    )
    cookie_names: tuple[str, ...] = setting((), as_set=True, doc="Cookies that may hold the token.")
    key_claim_name: str = setting("iss", doc="Claim, or field of the token's header, that names the key.")
    secret_is_base64: bool = setting(False, required=True, doc="Secrets of credentials are base64.")
    claims_to_verify: tuple[Literal["exp", "nbf"], ...] | None = setting(
        None, as_set=True, doc="Times that are compared with the clock."
    )
    anonymous: str | None = setting(None, doc="Consumer (id or username) of callers without a valid token.")
    run_on_preflight: bool = setting(True, required=True, doc="Ask OPTIONS requests for a token as well.")
    maximum_expiration: float = setting(
        0, between=(0, _YEAR), unit="s", doc="How far `exp` may be ahead, in seconds; 0 for any."
    )
    header_names: tuple[str, ...] = setting(
        ("authorization",), as_set=True, doc="Headers that may hold the token, behind `Bearer`."
    )
    realm: str | None = setting(None, required=False, doc="Realm in WWW-Authenticate.")

    CHECKS = (
        Conditional(
            "config.maximum_expiration",
            {"gt": 0},
            "config.claims_to_verify",
            {"required": True, "contains": "exp"},
        ),
    )


class Jwt(Authentication[Config]):
    name = "jwt"
    priority = 1450
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        base = f'Bearer realm="{conf.realm}"' if conf.realm else "Bearer"
        self._challenge = {"WWW-Authenticate": base}
        comma = "," if conf.realm else ""
        self._invalid = {"WWW-Authenticate": f'{base}{comma} error="invalid_token"'}
        self._headers = tuple(name.lower() for name in conf.header_names)
        self._verified: dict[str, tuple[Caller, Mapping[str, Any]]] = {}
        self._keys: dict[Caller, jws.Verify] = {}

    def skips(self, ex: Exchange) -> bool:
        return ex.request.method == "OPTIONS" and not self.conf.run_on_preflight

    def recognise(self, ex: Exchange) -> Caller:
        text = self._token(ex)
        known = self._verified.get(text)
        if known is None or not self._is_current(known[0]):
            known = self._remember(text, self._verify(text))
        caller, claims = known
        if self.conf.claims_to_verify:
            self._compare_times(claims)
        ex.slot(Shared)["authenticated_jwt_token"] = text
        return caller

    def _token(self, ex: Exchange) -> str:
        found = dict.fromkeys(self._presented(ex))
        if not found:
            raise Reject(401, body={"message": "Unauthorized"}, headers=self._challenge)
        if len(found) > 1:
            raise self._refusal("Multiple tokens provided")
        (token,) = found
        if not isinstance(token, str):
            raise self._refusal("Unrecognizable token")
        return token

    def _presented(self, ex: Exchange) -> list[str | bool]:
        """Everything that stands where a token may stand."""
        request, found = ex.request, list[str | bool]()
        if request.target.query and self.conf.uri_param_names:
            query = request.arguments()
            for name in self.conf.uri_param_names:
                value = query.get(name, "")
                found += value if isinstance(value, list) else (value,)
        if self.conf.cookie_names and "cookie" in request.headers:
            given = cookies(request.headers)
            found += [given.get(name, "") for name in self.conf.cookie_names]
        for name in self._headers:
            bearer = _BEARER.search(request.headers.values.get(name, ""))
            found.append(bearer[1] if bearer else "")
        return [token for token in found if token != ""]

    def _verify(self, text: str) -> tuple[Caller, Mapping[str, Any]]:
        """Who a token is from, and its claims."""
        try:
            token = jws.read(text)
        except jws.BadToken as problem:
            raise self._refusal(f"Bad token; {problem}") from None
        caller = self._issuer(token)
        credential = caller.credential
        if not isinstance(credential, JwtSecret) or token.algorithm != (credential.algorithm or "HS256"):
            raise self._refusal("Invalid algorithm")
        verify = self._keys.get(caller) or self._key(caller, credential)
        if not verify(token.signed, token.signature):
            raise self._refusal("Invalid signature")
        return caller, token.claims if isinstance(token.claims, dict) else {}

    def _issuer(self, token: jws.Token) -> Caller:
        name = self.conf.key_claim_name
        key = token.claims.get(name) if isinstance(token.claims, dict) else None
        if key is None or key is False:
            key = token.header.get(name)
        if key is None or key is False:
            raise self._refusal(f"No mandatory '{name}' in claims")
        if not isinstance(key, str) or not key:
            raise self._refusal(f"Invalid '{name}' in claims")
        caller = self.services.directory.caller(KIND, key.encode().decode("latin-1"))
        if caller is None:
            raise self._refusal(f"No credentials found for given '{name}'")
        return caller

    def _key(self, caller: Caller, credential: JwtSecret) -> jws.Verify:
        algorithm = credential.algorithm or "HS256"
        try:
            if algorithm in jws.SYMMETRIC:
                base64 = self.conf.secret_is_base64
                secret = decoded(credential.secret) if base64 else credential.secret.encode()
                if secret is None:
                    raise jws.BadKey("the secret is not base64")
                verify = jws.with_secret(algorithm, secret)
            else:
                verify = jws.with_pem(algorithm, credential.rsa_public_key or "")
        except jws.BadKey:
            raise self._refusal("Invalid key/secret") from None
        if len(self._keys) >= _TOKENS_KNOWN:
            self._keys.clear()
        self._keys[caller] = verify
        return verify

    def _is_current(self, caller: Caller) -> bool:
        """Whether the credential is still the one of the configuration that is being served."""
        credential = caller.credential
        if not isinstance(credential, JwtSecret):
            return False
        presented = credential.key if credential.key.isascii() else credential.key.encode().decode("latin-1")
        return self.services.directory.caller(KIND, presented) is caller

    def _remember(
        self, text: str, verified: tuple[Caller, Mapping[str, Any]]
    ) -> tuple[Caller, Mapping[str, Any]]:
        if len(self._verified) >= _TOKENS_KNOWN:
            self._verified.clear()
        self._verified[text] = verified
        return verified

    def _compare_times(self, claims: Mapping[str, Any]) -> None:
        now, wrong = self.services.wall_clock(), dict[str, str]()
        for name in self.conf.claims_to_verify or ():
            instant = claims.get(name)
            if not isinstance(instant, int | float) or isinstance(instant, bool):
                wrong[name] = "must be a number"
            elif name == "exp" and instant <= now:
                wrong[name] = "token expired"
            elif name == "nbf" and instant > now:
                wrong[name] = "token not valid yet"
        limit = self.conf.maximum_expiration
        if not wrong and limit and claims["exp"] - now > limit:
            wrong["exp"] = "exceeds maximum allowed expiration"
        if wrong:
            raise Reject(401, body=wrong, headers=self._invalid)

    def _refusal(self, message: str) -> Reject:
        return Reject(401, body={"message": message}, headers=self._invalid)
