"""This node's settings, from the environment: Kong's properties as `KONG_*`, or as `TOLLHOUSE_*`.

`TOLLHOUSE_*` wins over `KONG_*`. Every problem is reported at once, with the variable's name. What is
said here of each setting is also its entry in docs/reference/settings.md.

Access logs are off unless a file is named, where Kong writes logs/access.log: a line costs a tenth of
what a request costs, and nobody should pay that unasked.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from tollhouse.config import readers
from tollhouse.config.admin_tokens import AdminToken, read_tokens
from tollhouse.config.ciphers import TlsTerms, read_protocols, tls_terms
from tollhouse.config.given import default_prefix, given, half_a_pair
from tollhouse.config.listen import Listen, parse_listens, parse_proxy_listens, parse_stream_listens
from tollhouse.config.nginx import NginxSettings
from tollhouse.config.option import Option, option, secret
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.constraints import is_reference
from tollhouse.stores.vaults import Unresolvable, Vaults

Flavor = Literal["traditional_compatible", "traditional", "expressions"]
#: settings that name files; relative ones are under the prefix
_LOG_FILES: Final = (
    "proxy_error_log", "admin_error_log", "proxy_access_log", "proxy_stream_access_log", "admin_access_log",
    "status_access_log", "admin_audit_log",
)  # fmt: skip


def _flavor(text: str) -> Flavor:
    return cast(Flavor, readers.one_of("traditional_compatible", "traditional", "expressions")(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(NginxSettings):
    """Everything that is the node's own; names are Kong's. Sizes in bytes, times in seconds."""

    prefix: Path = option(  # noqa: RUF009 - declares a field
        "~/.local/state/tollhouse",
        readers.folder,
        "Folder for records of running nodes; under `$XDG_STATE_HOME` if that is set.",
    )
    log_level: str = option(
        "notice",
        readers.one_of("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"),
        "What the error log holds: this level and those above.",
    )
    proxy_error_log: str = option(
        "/dev/stderr", readers.plain, "File of the error log, but for what is the Admin API's."
    )
    admin_error_log: str = option("/dev/stderr", readers.plain, "File of what control and the Admin API log.")
    proxy_access_log: str | None = option(
        "off",
        readers.file_or_off,
        "File with a line for every request, or `off`. Kong's default is a file, ours is `off`: "
        "the line is the most expensive part of a plain request. It may be rotated at any time.",
    )
    proxy_stream_access_log: str | None = option(
        "off",
        readers.file_or_off,
        "The same for connections of stream routes: a line for each that has ended, in nginx's format "
        "`basic`.",
    )
    admin_access_log: str | None = option(
        "off", readers.file_or_off, "The same for requests to the Admin API."
    )
    status_access_log: str | None = option(
        "off", readers.file_or_off, "The same for requests to the status API."
    )
    tracing_instrumentations: tuple[str, ...] = option(
        "off",
        readers.instrumentations,
        "What the opentelemetry plugin makes spans of: `off`, `all`, or of `request`, `router`, `balancer`, "
        "`plugin_rewrite`, `plugin_access` and `plugin_header_filter` those that are listed. `db_query`, "
        "`dns_query` and `http_client` are known and never occur within a request here.",
    )
    tracing_sampling_rate: float = option(
        "0.01", readers.share, "Share of traces that opentelemetry sends, where the plugin does not say."
    )
    untrusted_lua: str = option(
        "sandbox",
        readers.one_of("off", "sandbox", "on"),
        "Whether Lua in the configuration is run: templates, custom fields of log records, pre-function, "
        "post-function and exit-transformer. With `off` requests that need it fail, and custom fields are "
        "left out; `on` is the same as `sandbox`: there is no Lua outside of it.",
    )
    timing: str = option(
        "off",
        readers.one_of("off", "log", "on_request", "always"),
        "Tell where the gateway's own time went, by phase and plugin: `log` in log records, under `timing`; "
        "`on_request` also in a `Server-Timing` header for clients that send `X-Tollhouse-Timing`; `always` "
        "in that header for all. `off` costs nothing. Tollhouse's own.",
    )
    syslog_socket: str = option(
        "/dev/log",
        readers.plain,
        "Path of the system's syslog socket, which the syslog plugin writes to. Tollhouse's own.",
    )
    admin_audit_log: str | None = option(
        "logs/audit.jsonl",
        readers.file_or_off,
        "File of the audit trail: a JSON line for every change made through the Admin API, with who made it, "
        "the entity before and after, secrets left out; or `off`. A change that cannot be noted is refused. "
        "Tollhouse's own.",
    )
    admin_key: str | None = option(
        "",
        readers.optional,
        "A token with which the Admin API may be used for everything, in `Kong-Admin-Token` or "
        "`Authorization: Bearer`. Without it and `admin_tokens` anyone who reaches it may. Tollhouse's own.",
    )
    admin_tokens: tuple[AdminToken, ...] = option(
        "",
        read_tokens,
        "File with more tokens, each with a name, a role (`read-only`, `operator`, `admin`) and, for an "
        "operator, the tags of the entities that are theirs to change. Tollhouse's own.",
    )
    admin_max_body_size: int = option(
        "256m",
        readers.size,
        "Largest request body of the Admin API, 0 is any; Kong's 10m is too little for many entities.",
        "NGINX_ADMIN_CLIENT_MAX_BODY_SIZE",
    )
    admin_gui_url: tuple[str, ...] = option(
        "",
        readers.origins,
        "Origins from which browsers may use the Admin API, comma-separated; without any, every origin, "
        "as in Kong.",
    )
    admin_ssl_cert: str | None = option(
        "", readers.existing_file, "Certificate of `ssl` listeners of the Admin API; else `ssl_cert`."
    )
    admin_ssl_cert_key: str | None = option("", readers.existing_file, "Its private key.")
    admin_ssl_client_certificate: str | None = option(
        "",
        readers.existing_file,
        "Authorities, PEM: clients of the Admin API's `ssl` listeners need a certificate of one of them.",
        "NGINX_ADMIN_SSL_CLIENT_CERTIFICATE",
        "ADMIN_SSL_CLIENT_CERTIFICATE",
    )
    plugins: tuple[str, ...] = option(
        "bundled", readers.words, "Plugins that configurations may use: names, or `bundled` for all."
    )
    plugins_path: tuple[Path, ...] = option(
        "",
        readers.folders,
        "Folders of custom plugins, separated by colons: `plugins` names those that are used. "
        "Tollhouse's own.",
    )
    python_pdk_style: str = option(
        "auto",
        readers.one_of("auto", "lua", "python"),
        "What `kong.*` calls give to files written for Kong's Python PDK: `lua` is a pair of value and "
        "error, `python` the value alone, errors being raised (Kong's `--no-lua-style`); `auto` is `lua` for "
        "files that unpack pairs. Tollhouse's own.",
    )
    allow_missing_plugins: bool = option(
        "off",
        readers.switch,
        "Load plugins that this version does not know, each with a warning; they do nothing. Without it "
        "such a configuration is refused. Tollhouse's own.",
    )
    role: str = option(
        "traditional",
        readers.role,
        "Kong's `control_plane` and `data_plane` are refused: nodes share a database instead.",
    )
    node_id: str | None = option("", readers.optional_uuid, "Id of this node; made up at its start if unset.")
    database: str = option(
        "off",
        readers.one_of("off", "postgres"),
        "Where the configuration is kept: `off` is a file, `postgres` a database that nodes share.",
    )
    pg_host: str = option(
        "127.0.0.1", readers.plain, "Host of the PostgreSQL server, or folder of its socket."
    )
    pg_port: int = option("5432", readers.positive, "Its port.")
    pg_user: str = option("kong", readers.plain, "Whom to log in as.")
    pg_password: str | None = secret("", readers.optional, "The password; may be `{vault://env/NAME}`.")
    pg_database: str = option("kong", readers.plain, "Name of the database.")
    pg_schema: str = option("public", readers.plain, "Schema in the database that holds the tables.")
    pg_ssl: bool = option(
        "off", readers.switch, "Connect by TLS. There is no falling back to a plain connection."
    )
    pg_ssl_verify: bool = option(
        "off", readers.switch, "Refuse a server whose certificate this system does not trust for its host."
    )
    pg_timeout: float = option(
        "5000", readers.milliseconds, "Longest wait for a connection or a statement, in milliseconds."
    )
    pg_max_concurrent_queries: int = option(
        "0",
        readers.whole,
        "Connections that this node may use at once, at least 2; 0 is 10. One more listens.",
    )
    pg_keepalive_timeout: float = option(
        "0", readers.milliseconds, "How long an idle connection is kept, in milliseconds; 0 is for ever."
    )
    proxy_listen: tuple[Listen, ...] = option(
        "0.0.0.0:8000 reuseport backlog=16384", parse_proxy_listens, "Where clients connect."
    )
    stream_listen: tuple[Listen, ...] = option(
        "off", parse_stream_listens, "Where clients of TCP, TLS and UDP routes connect, or `off`."
    )
    admin_listen: tuple[Listen, ...] = option(
        "127.0.0.1:8001 reuseport backlog=16384", parse_listens, "Where the Admin API listens, or `off`."
    )
    status_listen: tuple[Listen, ...] = option(
        "127.0.0.1:8007 reuseport backlog=16384", parse_listens, "Where the status API listens, or `off`."
    )
    worker_processes: int = option(
        "auto",
        readers.processes,
        "Worker processes; `auto` is one for each core.",
        "NGINX_WORKER_PROCESSES",
    )
    router_flavor: Flavor = option(  # noqa: RUF009 - declares a field
        "traditional_compatible",
        _flavor,
        "How routes are matched: `traditional_compatible`, `traditional` or `expressions`.",
    )
    trusted_ips: tuple[str, ...] = option(
        "", readers.networks, "Peers whose forwarded headers are believed: addresses, ranges, `unix:`."
    )
    real_ip_header: str = option(
        "X-Real-IP",
        readers.plain,
        "The header in which a trusted peer names the client; `proxy_protocol` for what it says before the "
        "first request on listeners with that flag.",
    )
    real_ip_recursive: bool = option(
        "off", readers.switch, "Pass over trusted addresses in that header, from its end."
    )
    headers: tuple[str, ...] = option(
        "server_tokens, latency_tokens, X-Kong-Request-Id",
        readers.headers,
        "Headers that the gateway adds to answers.",
    )
    headers_upstream: tuple[str, ...] = option(
        "X-Kong-Request-Id", readers.headers, "Headers that the gateway adds to upstreams' requests."
    )
    error_default_type: str = option(
        "text/plain",
        readers.one_of("text/plain", "text/html", "application/json", "application/xml", "application/grpc"),
        "Type of error answers to requests that ask for none.",
    )
    error_template_html: str | None = option(
        "", readers.error_template, "File with such an answer in HTML: `%s` is the message, then the id."
    )
    error_template_json: str | None = option("", readers.error_template, "The same for JSON.")
    error_template_plain: str | None = option("", readers.error_template, "The same for plain text.")
    error_template_xml: str | None = option("", readers.error_template, "The same for XML.")
    allow_debug_header: bool = option(
        "off",
        readers.switch,
        "Name route and service (`Kong-Route-Id`, …) in answers to requests with a `Kong-Debug` header.",
    )
    port_maps: Mapping[int, int] = option(
        "",
        readers.port_maps,
        "Ports that clients use where something in front maps them to the node's own: `80:8000`.",
    )
    upstream_keepalive_pool_size: int = option(
        "512", readers.whole, "Idle connections kept to each upstream."
    )
    upstream_keepalive_max_requests: int = option(
        "10000", readers.whole, "Requests on one upstream connection."
    )
    upstream_keepalive_idle_timeout: float = option(
        "60", readers.seconds, "How long an idle upstream connection is kept."
    )
    dns_resolver: tuple[str, ...] = option(
        "", readers.name_servers, "Name servers in place of the system's, each perhaps with a port."
    )
    dns_valid_ttl: float | None = option(
        "0", readers.optional_seconds, "Lifetime of DNS answers in place of their own; 0 is their own."
    )
    dns_stale_ttl: float = option("3600", readers.seconds, "How long an old DNS answer may stand in.")
    dns_not_found_ttl: float = option("30", readers.seconds, "How long a missing name is remembered.")
    dns_error_ttl: float = option("1", readers.seconds, "How long a failed DNS question is remembered.")
    dns_cache_size: int = option("10000", readers.positive, "Names that are remembered.")
    ssl_cert: str | None = option(
        "", readers.existing_file, "Certificate of `ssl` listeners, PEM; one is made up if there is none."
    )
    ssl_cert_key: str | None = option("", readers.existing_file, "Its private key.")
    ssl_cipher_suite: str = option(
        "intermediate",
        readers.one_of("modern", "intermediate", "old", "custom"),
        "Mozilla's recommendation that `ssl` listeners follow; `custom` is what the next three say.",
    )
    ssl_ciphers: str = option(
        "", readers.plain, "Ciphers of a `custom` suite before TLS 1.3, OpenSSL's names."
    )
    ssl_protocols: tuple[str, ...] = option(
        "TLSv1.2 TLSv1.3", read_protocols, "Versions of TLS of a `custom` suite."
    )
    ssl_prefer_server_ciphers: bool = option(
        "on", readers.switch, "Whether the order of the ciphers of a `custom` suite counts."
    )
    lua_ssl_trusted_certificate: tuple[str, ...] = option(
        "system",
        readers.authorities,
        "Authorities that vouch for upstreams, Redis, PostgreSQL and collectors of logs: PEM files; `system` "
        "are those of the machine.",
    )
    declarative_config: str | None = option("", readers.optional, "The declarative file to serve.")
    declarative_config_string: str | None = option("", readers.optional, "Its text, instead of a file.")
    vault_env_prefix: str = option(
        "", readers.plain, "What the names of variables begin with that `{vault://env/…}` refers to."
    )
    vault_file_prefix: str = option(
        "/run/secrets", readers.plain, "The folder of `{vault://file/…}`. Tollhouse's own."
    )
    drain_seconds: float = option(
        "30s",
        readers.seconds,
        "How long requests may finish when the node ends. Tollhouse's own.",
        "DRAIN_TIMEOUT",
    )
    mem_cache_size: int = option(
        "128m",
        readers.size,
        "Memory for answers that proxy-cache keeps, shared by all processes of the node.",
    )
    redis_host: str = option(
        "127.0.0.1",
        readers.plain,
        "Redis or Valkey server of plugins whose settings name none. Tollhouse's own.",
    )
    redis_port: int = option("6379", readers.positive, "Its port. Tollhouse's own.")
    counter_slots: int = option(
        "131072",
        readers.positive,
        "Limits that can be counted at once on this node, 64 bytes each. Tollhouse's own.",
    )

    @property
    def tls_terms(self) -> TlsTerms:
        """What `ssl` listeners offer."""
        return tls_terms(
            self.ssl_cipher_suite,
            self.ssl_ciphers,
            self.ssl_protocols,
            prefer_own=self.ssl_prefer_server_ciphers,
        )


def options() -> Mapping[str, Option]:
    """All settings by the name of their field."""
    found: dict[str, Option] = {}
    inherited = NginxSettings.__dataclass_fields__
    for each in sorted(fields(Settings), key=lambda field: field.name in inherited):
        declared: Option = each.metadata["option"]
        names = declared.names or (each.name.upper(),)
        found[each.name] = replace(declared, names=names)
    return found


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings. Raises `ConfigErrors` with everything that is wrong."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    errors: list[ConfigError] = []
    vaults = _vaults(environment)
    for name, each in options().items():
        variable, text = given(environment, each.names)
        if text is None:
            text = default_prefix(environment) if name == "prefix" else each.default
        try:
            values[name] = each.read(vaults.secret(text) if is_reference(text) else text)
        except Unresolvable as error:
            errors.append(ConfigError(variable, f"failed to dereference '{text}': {error}"))
        except ValueError as error:
            # What a secret is may not be told.
            problem = f"what '{text}' stands for is no value for it" if is_reference(text) else str(error)
            errors.append(ConfigError(variable, problem))
    errors += half_a_pair(values)
    if errors:
        raise ConfigErrors(errors)
    for name in _LOG_FILES:
        if values[name] is not None:
            values[name] = str(values["prefix"] / values[name])
    return Settings(**values)


def _vaults(environment: Mapping[str, str]) -> Vaults:
    known, found = options(), {}
    for name in ("vault_env_prefix", "vault_file_prefix"):
        _, text = given(environment, known[name].names)
        found[name] = known[name].default if text is None else text
    return Vaults(environment, env_prefix=found["vault_env_prefix"], file_prefix=found["vault_file_prefix"])
