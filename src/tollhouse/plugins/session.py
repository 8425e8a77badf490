"""session: remembers in a cookie who has proven who they are, so that they need not do so again.

It runs before the plugins that authenticate. Those need `anonymous`, or they ask callers with a session too.
A session is encrypted (AES-256-GCM). With the storage `cookie` the cookie holds all of it and the gateway
keeps nothing; with `kong` the cookie holds a random name, and the session is in the database, or in the
memory of a node without one, so that logging out ends it for every copy of the cookie. Without a `secret`
sessions end when the node does, and are this node's alone.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

import msgspec

from tollhouse.model.checks import Custom
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.entities import Ref
from tollhouse.model.shorthands import Shorthand
from tollhouse.pdk import Exchange, Plugin, Reject, setting
from tollhouse.pdk.body import body_arguments
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.services import Sessions
from tollhouse.wire.base64 import decoded, encoded
from tollhouse.wire.cookies import cookies, set_cookie

Told = Literal[
    "id", "audience", "subject", "timeout", "idling-timeout", "rolling-timeout", "absolute-timeout"
]
_BODY_LIMIT: Final = 1024 * 1024
_NONCE_BYTES: Final = 12
#: how long a session is kept that never ends, in seconds
_FOR_EVER: Final = 10 * 365 * 86400.0
#: a session that is in use is written anew at most so often, in seconds
_TOUCH_SECONDS: Final = 60.0


def _problem(_: Mapping[str, Any]) -> str | None:
    if find_spec("cryptography") is None:
        return "sessions need cryptography: pip install 'tollhouse[tls]'"
    return None


def _short(name: str, kind: str, to: str | None) -> Shorthand:
    return Shorthand(name, kind, lambda value: {} if to is None or value is None else {to: value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    secret: str | None = setting(
        None,
        required=False,
        auto=True,
        referenceable=True,
        encrypted=True,
        doc="What sessions are encrypted with; made up if it is not given: once where plugins are kept in a "
        "database, else for each node.",
    )
    storage: Literal["cookie", "kong"] = setting(
        "cookie",
        doc="Where sessions are kept: in the cookie itself, or in the database of the nodes (in the memory "
        "of a node that has none).",
    )
    audience: str = setting("default", doc="Sessions of another audience are not accepted.")
    idling_timeout: float = setting(900, unit="s", doc="How long a session may be unused; 0 for any time.")
    rolling_timeout: float = setting(3600, unit="s", doc="How long until it has to be renewed; 0 for never.")
    absolute_timeout: float = setting(86400, unit="s", doc="How long it lasts at most; 0 for ever.")
    stale_ttl: float = setting(
        10, unit="s", doc="How long after its end a session is accepted from requests under way, in seconds."
    )
    cookie_name: str = setting("session", doc="Name of the cookie.")
    cookie_path: str = setting("/", doc="Path of the cookie.")
    cookie_domain: str | None = setting(None, doc="Domain of the cookie.")
    cookie_same_site: Literal["Strict", "Lax", "None", "Default"] = setting(
        "Strict", doc="SameSite of the cookie; `Default` leaves it to the browser."
    )
    cookie_http_only: bool = setting(True, doc="Keep the cookie from scripts.")
    cookie_secure: bool = setting(True, doc="Only over HTTPS.")
    remember: bool = setting(False, doc="Keep sessions when the browser is closed, in a cookie of its own.")
    remember_cookie_name: str = setting("remember", doc="Name of that cookie.")
    remember_rolling_timeout: float = setting(604800, unit="s", doc="How long that cookie lasts unused.")
    remember_absolute_timeout: float = setting(2592000, unit="s", doc="How long that cookie lasts at most.")
    response_headers: tuple[Told, ...] | None = setting(
        None, as_set=True, doc="What clients are told, as `Session-…`."
    )
    request_headers: tuple[Told, ...] | None = setting(
        None, as_set=True, doc="What the upstream is told, as `Session-…`."
    )
    read_body_for_logout: bool = setting(False, doc="Look for `logout_post_arg` in bodies.")
    logout_methods: tuple[Literal["GET", "POST", "DELETE"], ...] = setting(
        ("POST", "DELETE"), as_set=True, doc="Methods that may log out."
    )
    logout_query_arg: str = setting("session_logout", doc="Query argument that logs out.")
    logout_post_arg: str = setting("session_logout", doc="Argument in the body that logs out.")
    hash_subject: bool = setting(False, doc="Tell the subject only as a hash (SHA-256).")
    store_metadata: bool = setting(
        False, doc="No effect: Kong keeps a list of a subject's sessions that nothing of it shows or reads."
    )

    CHECKS = (Custom(_problem),)
    SHORTHANDS = (
        _short("cookie_lifetime", "number", "rolling_timeout"),
        Shorthand("cookie_idletime", "number", lambda value: {"idling_timeout": value or 0}),
        _short("cookie_renew", "number", None),
        _short("cookie_discard", "number", "stale_ttl"),
        Shorthand(
            "cookie_samesite",
            "string",
            lambda value: {"cookie_same_site": "Lax" if value == "off" else value} if value else {},
        ),
        _short("cookie_httponly", "boolean", "cookie_http_only"),
        _short("cookie_persistent", "boolean", "remember"),
    )


class _Session(msgspec.Struct, array_like=True):
    """What a cookie holds. Instants in seconds since the epoch."""

    id: str
    audience: str
    consumer: str | None
    credential: str
    identifier: str
    groups: tuple[str, ...] | None
    created: float
    renewed: float
    used: float
    #: when the caller has proven who it is, which `remember` may make long ago
    since: float


@dataclass(frozen=True, slots=True)
class SessionCredential:
    """The credential that a session was begun with, as far as it is remembered."""

    id: str
    identifier: str
    consumer: Ref | None = None


@dataclass(slots=True)
class _Seen:
    """The session of an exchange."""

    session: _Session | None = None
    #: the name that it is kept under, where it is not in the cookie
    name: str = ""
    #: it has to be written anew
    changed: bool = False
    ended: bool = False


def _place(name: str) -> str:
    """Where a session of that name is kept, which does not tell the name."""
    return f"session:{hashlib.sha256(name.encode()).hexdigest()}"


class Session(Plugin[Config]):
    name = "session"
    priority = 1900
    Config = Config
    forbidden_scopes = frozenset({"consumer", "consumer_group"})
    protocols = PROTOCOLS

    def prepare(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        conf = self.conf
        secret = conf.secret or f"{self.services.node.node_id}:{self.id}"
        self._cipher = AESGCM(hashlib.sha256(secret.encode()).digest())
        self.request_body_limit = _BODY_LIMIT if conf.read_body_for_logout else None
        self._store = self._kept() if conf.storage == "kong" else None

        limits = [conf.absolute_timeout, conf.remember_absolute_timeout if conf.remember else 1]
        #: for how long anybody may come back to a session, in seconds
        self._longest = max(limits) + conf.stale_ttl if all(limits) else _FOR_EVER

    def _kept(self) -> Sessions:
        try:
            return self.services.database.sessions()
        except LookupError:  # a node without a database
            return self.services.claims

    # Requests

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        if "cookie" not in ex.request.headers:
            return None
        given = cookies(ex.request.headers)
        shown = given.get(self.conf.cookie_name)
        remembered = given.get(self.conf.remember_cookie_name) if self.conf.remember else None
        if self._store is not None:
            return self._find(ex, self._store, shown, remembered)
        self._go_on(ex, shown, remembered)
        return None

    async def _find(self, ex: Exchange, store: Sessions, *names: str | None) -> None:
        """Goes on with what is kept under the names that cookies hold."""
        found = []
        for name in names:
            kept = store.find(_place(name)) if name else None
            if kept is not None and not isinstance(kept, bytes):
                kept = await kept
            found.append(kept.decode("latin-1") if kept is not None else None)
        ex.slot(_Seen).name = next(
            (name for name, kept in zip(names, found, strict=True) if name and kept), ""
        )
        self._go_on(ex, *found)

    def _go_on(self, ex: Exchange, shown: str | None, remembered: str | None) -> None:
        """Recognises a caller by a session, or by one that is remembered."""
        session = self._opened(shown, remembered=False)
        seen = ex.slot(_Seen)
        if session is None and self.conf.remember:
            session = self._opened(remembered, remembered=True)
            if session is not None:
                session.created = session.renewed = session.used = self.services.wall_clock()
                seen.changed = True
        if session is None:
            return
        if self._logs_out(ex):
            seen.ended = True
            raise Reject(200, body=b"")
        consumer = self.services.directory.consumer(session.consumer) if session.consumer else None
        if session.consumer is not None and consumer is None:
            return  # gone since then
        seen.session = session
        seen.changed |= self._touch(session)
        ref = Ref(consumer.id) if consumer is not None else None
        credential = SessionCredential(session.credential, session.identifier, ref)
        ex.authenticated_groups = session.groups
        ex.authenticate(Caller(consumer, credential))
        ex.request.headers.remove("x-authenticated-groups")
        if session.groups:
            ex.request.headers.set("X-Authenticated-Groups", ", ".join(session.groups))
        for name, value in self._told(session, self.conf.request_headers):
            ex.request.headers.set(name, value)

    def _touch(self, session: _Session) -> bool:
        """Notes that a session is in use; says whether that is worth a new cookie."""
        conf, now = self.conf, self.services.wall_clock()
        changed = False
        if conf.rolling_timeout and now - session.renewed > conf.rolling_timeout * 3 / 4:
            session.renewed, changed = now, True
        if conf.idling_timeout and now - session.used > min(_TOUCH_SECONDS, conf.idling_timeout / 4):
            session.used, changed = now, True
        return changed

    def _logs_out(self, ex: Exchange) -> bool:
        conf, request = self.conf, ex.request
        if request.method not in conf.logout_methods:
            return False
        if request.target.query and conf.logout_query_arg in request.arguments():
            return True
        return conf.read_body_for_logout and conf.logout_post_arg in body_arguments(request)

    # Answers

    def header_filter(self, ex: Exchange) -> None:
        if ex.response is None:
            return
        seen = ex.slot(_Seen)
        if seen.ended:
            self._write(ex, None)
            return
        if ex.credential is None:
            return  # nobody, or the anonymous consumer
        session = seen.session
        consumer = ex.consumer.id if ex.consumer is not None else None
        if session is None or (session.consumer, session.credential) != (consumer, ex.credential.id):
            session, seen.changed, seen.name = self._begun(ex, consumer), True, ""
        if seen.changed:
            self._write(ex, session)
        for name, value in self._told(session, self.conf.response_headers):
            ex.response.headers.set(name, value)

    def _begun(self, ex: Exchange, consumer: str | None) -> _Session:
        now = self.services.wall_clock()
        id_, identifier = ("", "") if ex.credential is None else (ex.credential.id, ex.credential.identifier)
        return _Session(
            secrets.token_urlsafe(24),
            self.conf.audience,
            consumer,
            id_,
            identifier,
            ex.authenticated_groups,
            now,
            now,
            now,
            now,
        )

    def _write(self, ex: Exchange, session: _Session | None) -> None:
        """Gives the client its cookies, or takes them away."""
        conf = self.conf
        value = self._sealed(session) if session is not None else ""
        if self._store is not None:
            value = self._stored(self._store, ex.slot(_Seen), value)
        ended = 0 if session is None else None
        self._set(ex, conf.cookie_name, value, ended)
        if conf.remember:
            lasts = int(conf.remember_rolling_timeout) if session is not None else 0
            self._set(ex, conf.remember_cookie_name, value, lasts)

    def _stored(self, store: Sessions, seen: _Seen, value: str) -> str:
        """Keeps a session, or forgets one that has ended; the name that it is kept under."""
        if not value:
            store.forget(_place(seen.name))
            return ""
        seen.name = seen.name or secrets.token_urlsafe(32)
        store.put(_place(seen.name), value.encode(), self._longest)
        return seen.name

    def _set(self, ex: Exchange, name: str, value: str, seconds: int | None) -> None:
        conf = self.conf
        if ex.response is None:
            return
        line = set_cookie(
            name,
            value,
            path=conf.cookie_path,
            domain=conf.cookie_domain,
            same_site=None if conf.cookie_same_site == "Default" else conf.cookie_same_site,
            http_only=conf.cookie_http_only,
            secure=conf.cookie_secure,
            lasts=None if seconds is None else (self.services.wall_clock(), seconds),
        )
        ex.response.headers.add("Set-Cookie", line)

    def _told(self, session: _Session, names: tuple[Told, ...] | None) -> list[tuple[str, str]]:
        if not names:
            return []
        conf, now = self.conf, self.services.wall_clock()
        subject = session.consumer or session.identifier
        if conf.hash_subject:
            subject = encoded(hashlib.sha256(subject.encode()).digest())
        left = {
            "idling-timeout": conf.idling_timeout - (now - session.used),
            "rolling-timeout": conf.rolling_timeout - (now - session.renewed),
            "absolute-timeout": conf.absolute_timeout - (now - session.created),
        }
        limits = [conf.idling_timeout, conf.rolling_timeout, conf.absolute_timeout]
        running = [seconds for seconds, limit in zip(left.values(), limits, strict=True) if limit]
        known = {"id": session.id, "audience": session.audience, "subject": subject}
        known |= {name: str(int(seconds)) for name, seconds in left.items()}
        known["timeout"] = str(int(min(running, default=0)))
        return [(f"Session-{name.title()}", known[name]) for name in names]

    # Cookies

    def _sealed(self, session: _Session) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = self._cipher.encrypt(nonce, msgspec.msgpack.encode(session), None)
        return encoded(nonce + content)

    def _opened(self, value: str | None, *, remembered: bool) -> _Session | None:
        """The session of a cookie, `None` if it is not ours or has ended."""
        from cryptography.exceptions import InvalidTag

        data = decoded(value) if value else None
        if data is None or len(data) <= _NONCE_BYTES:
            return None
        try:
            content = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
            session = msgspec.msgpack.decode(content, type=_Session)
        except (InvalidTag, msgspec.DecodeError):
            return None
        return session if self._is_alive(session, remembered=remembered) else None

    def _is_alive(self, session: _Session, *, remembered: bool) -> bool:
        conf, now = self.conf, self.services.wall_clock()
        if session.audience != conf.audience:
            return False
        limits = (
            (session.used, conf.idling_timeout),
            (session.renewed, conf.rolling_timeout),
            (session.created, conf.absolute_timeout),
        )
        if remembered:
            limits = (
                (session.used, 0.0),
                (session.renewed, conf.remember_rolling_timeout),
                (session.since, conf.remember_absolute_timeout),
            )
        return all(not limit or now - since <= limit + conf.stale_ttl for since, limit in limits)
