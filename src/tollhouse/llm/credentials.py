"""A provider's key, put where its settings say: a header, the query, or the body."""

from typing import Final
from urllib.parse import quote

import msgspec

from tollhouse.llm.formats.openai_chat.forward import Members
from tollhouse.llm.provider import Provider
from tollhouse.llm.settings import Auth
from tollhouse.pdk import FieldSet, wire_field
from tollhouse.wire.fields import WireField
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import without_arguments

_NONE: Final = Auth()
_CONTENT_TYPE: Final = wire_field("Content-Type", "application/json")
#: A provider may only choose from encodings that can be read here.
_ENCODINGS: Final = wire_field("Accept-Encoding", "gzip, identity")
#: Where clients show who they are, by their SDKs: keys, tokens, and what belongs to a signature of AWS.
#: All of it is for the gateway, whether it looks at it or not, and never for a provider.
CLIENT_KEYS: Final = (
    *("authorization", "proxy-authorization", "cookie"),
    *("apikey", "api-key", "x-api-key", "x-goog-api-key"),
    *("x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent"),
    *("amz-sdk-invocation-id", "amz-sdk-request"),
)
#: the same for arguments; `alt` asks Google for a form of stream, which is the gateway's to choose
_CLIENT_ARGUMENTS: Final = frozenset({"key", "api-key", "api_key", "apikey", "access_token", "alt"})


class Credentials:
    """With `allow_override` a client's own key stays where it is: in the place that the settings name, or
    wherever it is if they name none."""

    def __init__(
        self, auth: Auth | None, provider: Provider, needed: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """`needed` are header fields that the provider's own form must have; a client's own go before."""
        auth = auth or _NONE
        self._keep_own = auth.allow_override
        self._asks_gzip = provider.asks_gzip
        self._needed = tuple(wire_field(name, value) for name, value in needed)
        self._header = ""
        self._argument: tuple[frozenset[str], str] | None = None
        self._hidden = ""
        self._member: tuple[str, msgspec.Raw] | None = None
        key: tuple[WireField, ...] = ()
        if auth.header_name is not None and auth.header_value is not None:
            key = (wire_field(auth.header_name, auth.header_value),)
            self._header = key[0][0]
        #: by whether the client keeps its own key, and whether the answer is read here
        self._fields = {
            (keeps, reads): FieldSet.of(
                (() if keeps else key) + ((_ENCODINGS,) if reads else ()), self._unwanted(keeps=keeps)
            )
            for keeps in (False, True)
            for reads in (False, True)
        }
        name, value = auth.param_name, auth.param_value
        if name is not None and value is not None:
            if auth.param_location == "body":
                self._member = (name, msgspec.Raw(msgspec.json.encode(value)))
            else:
                self._argument = (frozenset({name}), f"{quote(name, safe='')}={quote(value, safe='')}")
                self._hidden = f"{quote(name, safe='')}=***"
        self.in_body, self.in_query = self._member is not None, self._argument is not None
        #: what nearly all requests get: the client's own key does not stay, and the answer is read
        self._usual = None if self._keep_own or self._needed else self._fields[False, self._asks_gzip]

    def _unwanted(self, *, keeps: bool) -> tuple[str, ...]:
        """The client's keys that must not get to the provider; with a key of its own only that one."""
        if keeps and not self._header:
            return ()
        return tuple(name for name in CLIENT_KEYS if name != self._header)

    def put_in_headers(self, headers: Headers, *, answer_is_read: bool) -> bool:
        """The key in place of what the client sent, and what else a provider must be told. An answer
        that is passed on as it comes must be in an encoding that the client asked for. Says whether the
        key is the client's own."""
        values = headers.values
        if "content-type" not in values:
            headers.set_field(_CONTENT_TYPE)
        elif answer_is_read and self._usual is not None and "accept-encoding" not in values:
            headers.assign(self._usual)
            return False
        for field in self._needed:
            if field[0] not in values:
                headers.set_field(field)
        keeps = self._keep_own and (not self._header or self._header in values)
        reads = answer_is_read and (self._asks_gzip or "accept-encoding" in values)
        headers.assign(self._fields[keeps, reads])
        return keeps

    def put_in_body(self, members: Members) -> None:
        if self._member is not None:
            name, value = self._member
            if not (self._keep_own and name in members):
                members[name] = value

    def hidden_in_body(self, content: bytes) -> bytes:
        """A body that the key was put into, as it may be shown."""
        return content if self._member is None else content.replace(bytes(self._member[1]), b'"***"')

    def put_in_query(self, query: str) -> str:
        """The client's query with the key."""
        if self._argument is None:
            return query if self._keep_own else without_arguments(query, _CLIENT_ARGUMENTS)
        names, argument = self._argument
        if self._keep_own and without_arguments(query, names) != query:
            return query
        others = without_arguments(query, names | _CLIENT_ARGUMENTS)
        return f"{others}&{argument}" if others else argument

    def hidden(self, target: str) -> str:
        """A target that the key was put into, as it may be shown."""
        return target if self._argument is None else target.replace(self._argument[1], self._hidden)
