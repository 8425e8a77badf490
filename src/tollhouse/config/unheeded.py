"""Settings of Kong's that are set for this node and change nothing here, each with the reason.

A file or a script that was written for Kong carries many of them. Those that stand for something else here
are told so; one that nobody knows is probably mistyped.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tollhouse.config.settings import options

_PREFIX: Final = "KONG_"
_NO_NGINX: Final = "there is no nginx here to give directives to"
_NO_LUA: Final = "Lua of the configuration runs in a sandbox of its own, without modules"
_NO_HYBRID: Final = "there is no hybrid mode: nodes that serve the same share a database"
_AT_ONCE: Final = "changes are served as soon as the database tells of them"
_NO_CACHE: Final = "every entity is in memory, so there is no cache of rows"
_DNS: Final = "names are asked for as the system is set up: /etc/resolv.conf, /etc/hosts and nsswitch.conf"
_ONE_DATABASE: Final = "there is no second connection for reading: PG_HOST serves both"
#: what is set on most nodes of Kong's and asks for nothing that is missing here: it is not worth a warning
_MODEST: Final = frozenset({
    "ANONYMOUS_REPORTS", "ADMIN_GUI_LISTEN", "ADMIN_GUI_PATH", "VERSION", "REQUEST_DEBUG", "PASSWORD",
    "WORKER_CONSISTENCY", "NGINX_DAEMON", "NGINX_USER", "NGINX_MAIN_DAEMON", "NGINX_MAIN_USER",
})  # fmt: skip
#: what plugins look for
_OF_PLUGINS: Final = {"DATADOG_AGENT_HOST", "DATADOG_AGENT_PORT"}
#: reasons by what the name of a variable, without its prefix, matches as a whole; the first counts
_REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("ANONYMOUS_REPORTS", "nothing is ever reported"),
    ("ADMIN_GUI_.*|PORTAL.*|ENFORCE_RBAC|.*_GUI_AUTH.*|LICENSE.*", "there is no graphical manager here"),
    ("VERSION|PASSWORD", "it is not a setting of the node"),
    ("VAULTS", "the vaults env and file are always there"),
    ("VAULT_.*", "only the vaults env and file are there"),
    ("REQUEST_DEBUG.*", "use TOLLHOUSE_TIMING and 'tollhouse explain' instead"),
    ("WORKER_(CONSISTENCY|STATE_UPDATE_FREQUENCY)|DB_UPDATE_.*", _AT_ONCE),
    ("DB_(CACHE|RESURRECT)_.*|LMDB_.*|DECLARATIVE_CONFIG_ENCRYPTION_.*", _NO_CACHE),
    ("PG_RO_.*", _ONE_DATABASE),
    ("PG_(SEMAPHORE_TIMEOUT|BACKLOG)", "a statement waits for a connection as long as PG_TIMEOUT says"),
    ("PG_POOL_SIZE", "PG_MAX_CONCURRENT_QUERIES limits the connections"),
    ("CASSANDRA_.*", "Cassandra is not supported, nor by Kong since 3.4"),
    ("DNS_(HOSTSFILE|ORDER|NO_SYNC)|NEW_DNS_CLIENT|RESOLVER_.*", _DNS),
    ("LUA_.*|UNTRUSTED_LUA_.*|OPENRESTY_.*", _NO_LUA),
    ("CLUSTER_.*|INCREMENTAL_SYNC|KONNECT_.*|DEDICATED_CONFIG_PROCESSING", _NO_HYBRID),
    ("WASM.*", "there is no WebAssembly here"),
    ("NGINX_(HTTP_|PROXY_|LOCATION_|UPSTREAM_|ADMIN_|STATUS_|STREAM_|MAIN_|EVENTS_).*", _NO_NGINX),
    ("NGINX_(DAEMON|USER|CONF.*)", _NO_NGINX),
    ("PROXY_STREAM_ERROR_LOG", "streams log to PROXY_ERROR_LOG"),
    ("(ADMIN_GUI|STREAM_PROXY|PROXY_STREAM).*(LOG|CERT).*", "there is no such listener here"),
    ("STATUS_(SSL_.*|ERROR_LOG|LISTEN_.*)", "the status API uses SSL_CERT and ADMIN_ERROR_LOG"),
    ("SSL_(SESSION_.*|DHPARAM)", "TLS sessions and groups are OpenSSL's defaults"),
    ("PLUGINSERVER_.*|PLUGINSERVERS?", "plugins in Python run in the node: see TOLLHOUSE_PLUGINS_PATH"),
    ("TLS_CERTIFICATE_VERIFY|PROXY_SERVER.*|PRIVILEGED_AGENT|STALE_.*", "nothing here asks for it"),
)  # fmt: skip


def unheeded(environment: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Variables that change nothing, why, and whether somebody may miss what they were set for."""
    known = {name for option in options().values() for name in option.names} | _OF_PLUGINS
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX)
        if name == variable or name in known:
            continue
        found = (reason for pattern, reason in _REASONS if re.fullmatch(pattern, name))
        yield variable, next(found, "no setting of this name is known"), name not in _MODEST
