"""key-auth: a caller shows a key in a header, a query argument or the body.

Names are tried in order, for each name the header, then the query, then the body; the first place that
holds anything is believed, also if it is empty. One that holds the key twice is refused rather than
guessed at.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.entities import Credential, KeyAuthCredential
from tollhouse.model.validators import header_name
from tollhouse.pdk import Exchange, Reject, item, setting
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.body import body_arguments, without_body_arguments
from tollhouse.pdk.caller import Caller
from tollhouse.wire.uri import without_argument

KIND: Final = "keyauth_credentials"
#: bodies above this are not searched for a key, in bytes
BODY_LIMIT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    key_names: tuple[str, ...] = setting(
        ("apikey",), required=True, items=item(validator=header_name), doc="Where the key is looked for."
    )
    hide_credentials: bool = setting(False, required=True, doc="Keep the key from the upstream.")
    anonymous: str | None = setting(None, doc="Consumer (id or username) of callers without a valid key.")
    key_in_header: bool = setting(True, required=True, doc="Look in headers.")
    key_in_query: bool = setting(True, required=True, doc="Look in the query.")
    key_in_body: bool = setting(False, required=True, doc="Look in forms and JSON bodies.")
    run_on_preflight: bool = setting(True, required=True, doc="Ask OPTIONS requests for a key as well.")
    realm: str | None = setting(None, doc="Realm in WWW-Authenticate.")


class KeyAuth(Authentication[Config]):
    name = "key-auth"
    priority = 1250
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        self._places = tuple((name, name.lower()) for name in conf.key_names)
        challenge = f'Key realm="{conf.realm}"' if conf.realm else "Key"
        self._challenge = {"WWW-Authenticate": challenge}
        self.request_body_limit = BODY_LIMIT if conf.key_in_body else None
        plain = conf.key_in_header and conf.run_on_preflight and not conf.hide_credentials
        #: the header that has the key of nearly all requests, where nothing else has to be asked before
        self._header = self._places[0][1] if plain and conf.anonymous is None and self._places else None

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        header = self._header
        if header is None:
            return super().access(ex)
        headers = ex.request.headers
        key = headers.values.get(header)
        caller = self.services.directory.caller(KIND, key) if key and not headers.has_repeats else None
        if caller is None or caller.has_end:
            return super().access(ex)
        ex.authenticate(caller)
        return None

    def skips(self, ex: Exchange) -> bool:
        return ex.request.method == "OPTIONS" and not self.conf.run_on_preflight

    def recognise(self, ex: Exchange) -> Caller:
        caller = self.services.directory.caller(KIND, self._key(ex))
        if caller is None or self._is_expired(caller.credential):
            raise self._refusal("Unauthorized")
        return caller

    def _is_expired(self, credential: Credential | None) -> bool:
        if not isinstance(credential, KeyAuthCredential) or credential.ttl is None:
            return False
        return credential.created_at + credential.ttl <= self.services.wall_clock()

    def _key(self, ex: Exchange) -> str:
        body: Mapping[str, Any] | None = None
        query: Mapping[str, Any] | None = None
        for name, header in self._places:
            found = self._in_header(ex, header) if self.conf.key_in_header else None
            if found is None and self.conf.key_in_query and ex.request.target.query:
                query = ex.request.arguments() if query is None else query
                found = query.get(name)
            if found is None and self.conf.key_in_body:
                body = body_arguments(ex.request) if body is None else body
                found = body.get(name)
            if isinstance(found, list | dict):
                raise self._refusal("Duplicate API key found")
            if isinstance(found, str):
                if not found:
                    break
                self._hide(ex, name, header)
                return found
        raise self._refusal("No API key found in request")

    def _in_header(self, ex: Exchange, header: str) -> Any:
        """What stands in the header, where Kong also finds a name with `_` that was sent with `-`."""
        headers = ex.request.headers
        if header not in headers.values:
            header = header.replace("_", "-")
        if headers.has_repeats and len(values := headers.get_all(header)) > 1:
            return values
        return headers.values.get(header)

    def _hide(self, ex: Exchange, name: str, header: str) -> None:
        """Keeps the key from the upstream wherever the client put it: one place was asked, but it may
        stand in others as well."""
        if not self.conf.hide_credentials:
            return
        request = ex.request
        request.headers.remove(header)
        request.headers.remove(header.replace("_", "-"))
        if ex.matched is not None and request.target.query is not None:
            query = without_argument(request.target.query, name)
            path = ex.matched.upstream_path
            ex.upstream_target = f"{path}?{query}" if query else path
        if self.conf.key_in_body and name in body_arguments(request):
            request.replace_content(without_body_arguments(request, frozenset((name,))))

    def _refusal(self, message: str) -> Reject:
        return Reject(401, message, headers=self._challenge)
