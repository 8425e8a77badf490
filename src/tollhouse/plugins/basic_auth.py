"""basic-auth: a caller shows a name and a password (RFC 7617).

Proxy-Authorization is looked at first, then Authorization. Passwords are kept as Kong keeps them: the SHA-1
of password and consumer id.
"""

import hashlib
import re
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from tollhouse.model.entities import BasicAuthCredential
from tollhouse.pdk import Exchange, Reject, setting
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.caller import Caller
from tollhouse.wire.base64 import decoded

KIND: Final = "basicauth_credentials"
_BASIC: Final = re.compile(r"[Bb]asic[ \t]*([A-Za-z0-9+/]+)=*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    anonymous: str | None = setting(
        None, doc="Consumer (id or username) of callers without a valid password."
    )
    hide_credentials: bool = setting(False, required=True, doc="Keep the password from the upstream.")
    realm: str = setting("service", required=True, doc="Realm in WWW-Authenticate.")


class BasicAuth(Authentication[Config]):
    name = "basic-auth"
    priority = 1100
    Config = Config

    def prepare(self) -> None:
        self._challenge = {"WWW-Authenticate": f'Basic realm="{self.conf.realm}"'}

    def recognise(self, ex: Exchange) -> Caller:
        for header in ("proxy-authorization", "authorization"):
            given = _name_and_password(ex.request.headers.values.get(header))
            if given is None:
                continue
            if self.conf.hide_credentials:
                ex.request.headers.remove(header)
            name, password = given
            caller = self.services.directory.caller(KIND, name)
            if caller is not None:
                if _fits(caller, password):
                    return caller
                break
        raise Reject(401, "Unauthorized", headers=self._challenge)


def _name_and_password(value: str | None) -> tuple[str, bytes] | None:
    """The name as it came, one character for each byte, and the bytes of the password."""
    found = _BASIC.fullmatch(value) if value else None
    content = decoded(found[1]) if found else None
    name, colon, password = (content or b"").partition(b":")
    return (name.decode("latin-1"), password) if name and colon else None


def _fits(caller: Caller, password: bytes) -> bool:
    credential = caller.credential
    if not isinstance(credential, BasicAuthCredential) or caller.consumer is None:
        return False
    # SHA-1 is Kong's choice, and what its exports hold.
    digest = hashlib.sha1(password + caller.consumer.id.encode(), usedforsecurity=False).hexdigest()
    return compare_digest(digest, credential.password)
