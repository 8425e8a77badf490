"""An identity provider in the test's own process: discovery, keys, introspection and userinfo."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from tests.support.upstream import Received, Upstream


@dataclass
class Provider:
    """Answers as Keycloak does; `path` is the realm's."""

    path: str = "/realms/test"
    keys: list[RSAKey | ECKey] = field(
        default_factory=lambda: [RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})]
    )
    #: what introspection and userinfo say of opaque tokens
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: what introspection is told the token as
    token_argument: str = "token"
    #: paths that answer 503
    broken: set[str] = field(default_factory=set)
    server: Upstream = field(default_factory=Upstream)
    scheme: str = "http"

    async def start(self, tls: ssl.SSLContext | None = None) -> "Provider":
        self.scheme = "http" if tls is None else "https"
        self.server.answer = self._answer
        await self.server.start(tls)
        return self

    async def stop(self) -> None:
        await self.server.stop()

    @property
    def issuer(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.port}{self.path}"

    def asked(self, path: str) -> list[Received]:
        """The requests for a path below the issuer."""
        return [each for each in self.server.received if each.target == f"{self.path}{path}"]

    def token(
        self, claims: Mapping[str, Any], key: RSAKey | ECKey | None = None, algorithm: str = "RS256"
    ) -> str:
        """A token of this provider."""
        key = key or self.keys[0]
        header = {"alg": algorithm, "kid": key.kid}
        return jwt.encode(header, {"iss": self.issuer, **claims}, key, algorithms=[algorithm])

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        path = received.target.removeprefix(self.path)
        status, body = (503, {}) if path in self.broken else self._said(path, received)
        data = msgspec.json.encode(body)
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        return True

    def _said(self, path: str, received: Received) -> tuple[int, object]:
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/certs",
                "introspection_endpoint": f"{self.issuer}/introspect",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
            }
        if path == "/certs":
            return 200, {"keys": [key.as_dict(private=False) for key in self.keys]}
        if path == "/introspect":
            form = parse_qs(received.body.decode())
            claims = self.tokens.get(form[self.token_argument][0])
            return 200, {"active": claims is not None, **(claims or {})}
        if path == "/userinfo":
            claims = self.tokens.get(received.headers.get("authorization", "").removeprefix("Bearer "))
            return (200, claims) if claims is not None else (401, {})
        return 404, {}
