"""What the node offers to plugins. Stores and telemetry implement these; plugins see only this."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tollhouse.model.entities import CaCertificate, Consumer, ConsumerGroup
from tollhouse.pdk.acme import Issuing
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.delivery import Links, Queues
from tollhouse.pdk.events import Events
from tollhouse.pdk.http import HttpClient
from tollhouse.pdk.meter import Meter
from tollhouse.pdk.redis import RedisClient, Settings
from tollhouse.pdk.wait import Answered


class Tally(Protocol):
    """Windows of one key that count together: a request counts in all of them or in none."""

    def take(self, amount: int = 1) -> tuple[bool, list[int]]:
        """Adds `amount` to every window's count if that keeps each within its limit.

        Returns whether it was added, and the counts after it (before it if it was not added).
        """
        ...

    def allow(self, limits: Sequence[float]) -> None:
        """Other limits than those of the windows, from now on."""
        ...


class Counters(Protocol):
    """Counts shared by all workers of the node; exact, and kept over reloads."""

    def tally(self, windows: Sequence["Window"]) -> Tally:
        """Counts these windows, which have one key, together. To be kept while the windows run."""
        ...

    def add(self, window: "Window", amount: int) -> int:
        """Adds without asking for a limit; returns the new count."""
        ...

    def read(self, window: "Window") -> int:
        """The count as it is now."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """One counter: whose it is, in which span of time, and how much it allows.

    `start` and `seconds` are in whole seconds since the epoch; `kept` is for how many seconds the count is
    still of use when the window is over.
    """

    key: str
    start: int
    seconds: int
    limit: float
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a request fits, the counts after it was added, or as they were if it was not, and those of the
    windows before."""

    fits: bool
    counts: list[int]
    before: list[int]


class SharedTally(Protocol):
    """Windows of one key that many nodes count together."""

    def take(
        self, done: Callable[[Taken | None], Any], weights: Sequence[float] = (), amount: int = 1
    ) -> Answered | None:
        """Adds `amount` to every window's count if that keeps each within its limit; the count of the window
        before is added with its weight, a number for each window. `done` gets what came of it, `None` if it
        cannot be found out, and may raise `Reject`. It is called by whoever awaits what this returns; at once
        if there is nothing to wait for."""
        ...


class SharedCounts(Protocol):
    """Counts outside of the node. Keys carry in braces whose they are, so that one server has all of them."""

    def tally(self, windows: Sequence["Window"], before: Sequence["Window"], *, penalty: bool) -> SharedTally:
        """Counts these windows together. `before` are those that ran until they began, if they weigh;
        with `penalty` what does not fit counts too."""
        ...

    def read(self, windows: Sequence["Window"], done: Callable[[list[int] | None], Any]) -> Answered | None:
        """The counts as they are now, in the manner of `SharedTally.take`."""
        ...

    def add(self, window: "Window", amount: int) -> None:
        """Adds without asking for a limit and without waiting."""
        ...

    def close(self) -> None: ...


class Responses(Protocol):
    """Answers of upstreams, kept for all who ask again: for this node, or for many."""

    #: the longest value that is kept, in bytes
    largest_bytes: int

    def find(self, key: str) -> bytes | Awaitable[bytes | None] | None:
        """The value of a key, `None` if there is none or its time is over."""
        ...

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps a value for so long, without making the caller wait."""
        ...


class SharedResponses(Responses, Protocol):
    """Answers that many nodes keep together. All but `find` and `put` raise `RedisError`."""

    async def read(self, key: str) -> bytes | None:
        """What `find` finds."""
        ...

    async def forget(self, key: str) -> bool:
        """Whether there was such a key."""
        ...

    async def forget_all(self) -> None: ...

    def close(self) -> None: ...


class Redis(Protocol):
    """Servers that plugins share, found by their configuration blocks."""

    def client(self, settings: Settings) -> RedisClient:
        """For commands of a plugin's own; to be released when the plugin closes."""
        ...

    def release(self, client: Any) -> None: ...

    def counts(self, settings: Settings, sync_seconds: float | None = None) -> SharedCounts:
        """Counts on a server: asked for each request, or told every so many seconds."""
        ...

    def responses(self, settings: Settings) -> SharedResponses:
        """Answers kept on a server; to be closed when the plugin closes."""
        ...


class Sessions(Protocol):
    """What is remembered of callers, under names that nobody can guess."""

    def find(self, name: str) -> bytes | Awaitable[bytes | None] | None:
        """The value of that name, `None` if there is none or its time is over."""
        ...

    def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keeps a value for so long, without making the caller wait."""
        ...

    def forget(self, name: str) -> None: ...


class Database(Protocol):
    """The database that nodes share, where they have one."""

    def counts(self, sync_seconds: float | None = None) -> SharedCounts:
        """Counts in it: asked for each request, or told every so many seconds. Raises `LookupError` on a
        node without a database."""
        ...

    def sessions(self) -> Sessions:
        """Sessions that are kept in it. Raises `LookupError` on a node without a database."""
        ...


class Claims(Protocol):
    """Work that is done once on a node, whichever worker is asked for it, and what came of it."""

    #: the longest result that is kept, in bytes
    largest_bytes: int

    def take(self, key: str) -> bool:
        """Whether the work is now the caller's: nobody else's until it is freed or its process dies."""
        ...

    def free(self, key: str) -> None: ...

    async def freed(self, key: str) -> None:
        """Waits until nobody has claimed it."""
        ...

    def find(self, key: str) -> bytes | None:
        """What came of it, if that is still known."""
        ...

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keeps what came of it for so long."""
        ...

    def forget(self, key: str) -> None: ...


class Sink(Protocol):
    """Takes log lines without ever making the caller wait; drops and counts what it cannot hold."""

    def write(self, line: bytes) -> None: ...

    def close(self) -> None: ...


class Directory(Protocol):
    """Who may call, in the snapshot that is being served."""

    def consumer(self, id_or_username: str) -> Consumer | None:
        """The consumer of that id, else of that username."""
        ...

    def consumer_by(self, field: str, value: str) -> Consumer | None:
        """The consumer with that `id`, `username` or `custom_id`."""
        ...

    def caller(self, kind: str, presented: str) -> Caller | None:
        """Who presents this credential of a kind: the key of `keyauth_credentials` and `jwt_secrets`, the
        username of `basicauth_credentials` and `hmacauth_credentials`, the subject name of
        `mtls_auth_credentials`. Text from a header is asked for as it came, one character for each byte."""
        ...

    def authority(self, id_: str) -> CaCertificate | None:
        """The certificate authority of that id."""
        ...

    def groups(self, consumer_id: str) -> tuple[str, ...]:
        """The groups for access lists that a consumer is in, in the order of its memberships."""
        ...

    def consumer_groups(self, consumer_id: str) -> tuple[ConsumerGroup, ...]:
        """The consumer groups a consumer is in, sorted by name."""
        ...


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Who this node and this worker are."""

    node_id: str
    hostname: str
    worker: int
    pid: int
    #: host and port of the embedded model, `None` where it is not installed
    local_model: tuple[str, int] | None = None
    #: whether Lua of the configuration is run
    runs_lua: bool = True


@dataclass(frozen=True, slots=True)
class Tracing:
    """What is traced: Kong's `tracing_*` settings."""

    instrumentations: frozenset[str] = frozenset({"off"})
    #: share of traces, unless a plugin says another one
    sampling_rate: float = 0.01

    @property
    def is_on(self) -> bool:
        return not self.instrumentations <= {"off"}

    def has(self, instrumentation: str) -> bool:
        """Whether spans of that kind are made."""
        return "all" in self.instrumentations or instrumentation in self.instrumentations


class Sinks(Protocol):
    """Opens sinks; two users of one file share it."""

    def file(self, path: str, *, reopen: bool) -> Sink: ...


class Records(Protocol):
    """Makes Kong's log object of a finished exchange."""

    @property
    def workspace_id(self) -> str: ...

    def record(self, ex: Any) -> dict[str, Any]: ...

    def session(self, session: Any) -> dict[str, Any]:
        """The log object of a connection without HTTP that has ended."""
        ...

    def entity(self, value: Any) -> dict[str, Any]:
        """A route or service as it is shown outside: in Kong's shape, without what is not set."""
        ...


T_co = TypeVar("T_co", covariant=True)


class Renewed(Protocol[T_co]):
    """A credential that ends and is asked for again."""

    def current(self) -> T_co | None:
        """What is valid now; `None` if it has to be renewed."""
        ...

    async def renew(self) -> T_co:
        """A fresh one. Raises `PeerError` with the reason if there is none."""
        ...


class Cloud(Protocol):
    """Sources of credentials for clouds: settings, environment, files, the machine itself."""

    def google(self, account_json: str | None) -> Renewed[str]:
        """Bearer tokens."""
        ...

    def aws_region(self, given: str | None) -> str:
        """The region of the settings, else of the environment, else us-east-1 as in AWS's own tools."""
        ...

    def aws(self, region: str, access_key_id: str | None, secret_access_key: str | None) -> Renewed[Any]:
        """Keys to sign with (`llm.signing.aws.AwsCredentials`)."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything together, as a plugin gets it. `wall_clock` is seconds since the epoch,
    `clock` seconds of the node's monotonic clock, as the instants of an exchange are."""

    node: NodeInfo
    counters: Counters
    redis: Redis
    database: Database
    events: Events
    responses: Responses
    claims: Claims
    meter: Meter
    directory: Directory
    sinks: Sinks
    queues: Queues
    links: Links
    issuing: Issuing
    records: Records
    cloud: Cloud
    http: HttpClient
    #: whether forwarded headers from an address are believed
    trusts: Callable[[str], bool]
    #: what a `{vault://...}` reference stands for; raises `LookupError`
    secret: Callable[[str], str]
    wall_clock: Callable[[], float]
    clock: Callable[[], float]
    tracing: Tracing = Tracing()
