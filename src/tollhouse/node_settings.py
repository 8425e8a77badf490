"""What the parts of a node take from its settings."""

import os
import time
from typing import Final

from tollhouse.config.settings import Settings
from tollhouse.flow.answers import ErrorPages
from tollhouse.flow.forwarded import Trust
from tollhouse.server.limits import Limits
from tollhouse.stores.vaults import Vaults
from tollhouse.upstream.dns import Lifetimes
from tollhouse.upstream.pool import KeepAlive, Pools
from tollhouse.upstream.tls import UpstreamTls

_ERROR_KINDS: Final = {
    "text/plain": "plain",
    "text/html": "html",
    "application/json": "json",
    "application/xml": "xml",
    "application/grpc": "plain",
}


def pools_of(settings: Settings) -> Pools:
    keep_alive = KeepAlive(
        settings.upstream_keepalive_pool_size,
        settings.upstream_keepalive_max_requests,
        settings.upstream_keepalive_idle_timeout,
    )
    return Pools(keep_alive, time.perf_counter, UpstreamTls(settings.lua_ssl_trusted_certificate))


def lifetimes_of(settings: Settings) -> Lifetimes:
    """How long answers of name servers are used."""
    return Lifetimes(
        settings.dns_valid_ttl,
        settings.dns_stale_ttl,
        settings.dns_not_found_ttl,
        settings.dns_error_ttl,
        settings.dns_cache_size,
    )


def vaults_of(settings: Settings) -> Vaults:
    """Where references to secrets are looked up."""
    return Vaults(os.environ, env_prefix=settings.vault_env_prefix, file_prefix=settings.vault_file_prefix)


def error_pages_of(settings: Settings) -> ErrorPages:
    templates = {
        "html": settings.error_template_html,
        "json": settings.error_template_json,
        "plain": settings.error_template_plain,
        "xml": settings.error_template_xml,
    }
    return ErrorPages.of(_ERROR_KINDS[settings.error_default_type], templates)


def trust_of(settings: Settings) -> Trust:
    return Trust.of(settings.trusted_ips, settings.real_ip_header, recursive=settings.real_ip_recursive)


def limits_of(settings: Settings) -> Limits:
    lines, line_bytes = settings.large_client_header_buffers
    return Limits(
        line_bytes=line_bytes,
        head_bytes=lines * line_bytes,
        body_bytes=settings.client_max_body_size,
        header_seconds=settings.client_header_timeout,
        body_seconds=settings.client_body_timeout,
        send_seconds=settings.send_timeout,
        idle_seconds=settings.keepalive_timeout,
        requests=settings.keepalive_requests,
    )
