"""Directives that Kong's users give to nginx with `KONG_NGINX_*` and that have a counterpart here.

nginx has hundreds; these are the ones that decide what clients and upstreams meet.
"""

from dataclasses import dataclass

from tollhouse.config import readers
from tollhouse.config.option import option, secret

_PROXY_NAMES = "NGINX_PROXY_PROXY_SSL_", "NGINX_HTTP_PROXY_SSL_"
_STREAM_NAMES = "NGINX_SPROXY_PROXY_SSL_", "NGINX_STREAM_PROXY_SSL_"


def _named(prefixes: tuple[str, ...], directive: str) -> tuple[str, ...]:
    return tuple(prefix + directive for prefix in prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxSettings:
    """Sizes in bytes, times in seconds."""

    client_max_body_size: int = option(
        "0",
        readers.size,
        "Largest request body; 0 is any.",
        "CLIENT_MAX_BODY_SIZE",
        "NGINX_HTTP_CLIENT_MAX_BODY_SIZE",
    )
    client_header_timeout: float = option(
        "60s", readers.seconds, "Longest wait for a request's head.", "NGINX_HTTP_CLIENT_HEADER_TIMEOUT"
    )
    client_body_timeout: float = option(
        "60s", readers.seconds, "Longest pause in a request's body.", "NGINX_HTTP_CLIENT_BODY_TIMEOUT"
    )
    large_client_header_buffers: tuple[int, int] = option(
        "4 8k",
        readers.buffers,
        "How large a request's head may be: a number of buffers and their size, into one of which each line "
        "has to fit.",
        "NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS",
    )
    keepalive_timeout: float = option(
        "75s", readers.seconds, "How long an idle client may stay.", "NGINX_HTTP_KEEPALIVE_TIMEOUT"
    )
    keepalive_requests: int = option(
        "1000000", readers.whole, "Requests on one connection.", "NGINX_HTTP_KEEPALIVE_REQUESTS"
    )
    send_timeout: float = option(
        "60s", readers.seconds, "Longest that a client may take no bytes.", "NGINX_HTTP_SEND_TIMEOUT"
    )
    charset: str | None = option(
        "UTF-8",
        readers.charset,
        "What is added to the `Content-Type` of texts that name no charset, or `off`.",
        "NGINX_HTTP_CHARSET",
        "NGINX_PROXY_CHARSET",
    )
    add_header: tuple[str, str, bool] | None = option(
        "",
        readers.added_header,
        "A header for answers: name, value, and perhaps `always`, without which errors do not get it.",
        "NGINX_PROXY_ADD_HEADER",
        "NGINX_HTTP_ADD_HEADER",
    )
    proxy_ssl_verify: bool = option(
        "off",
        readers.switch,
        "Whether services whose `tls_verify` is not set have their certificates verified.",
        *_named(_PROXY_NAMES, "VERIFY"),
    )
    proxy_ssl_trusted_certificate: str | None = option(
        "",
        readers.existing_text,
        "The authorities, PEM, that vouch for services without `ca_certificates`; else those of "
        "`lua_ssl_trusted_certificate`.",
        *_named(_PROXY_NAMES, "TRUSTED_CERTIFICATE"),
    )
    proxy_ssl_verify_depth: int | None = option(
        "",
        readers.optional_whole,
        "How many authorities may stand in between, for services without `tls_verify_depth`.",
        *_named(_PROXY_NAMES, "VERIFY_DEPTH"),
    )
    stream_proxy_ssl_verify: bool = option(
        "off",
        readers.switch,
        "The same as for HTTP, of services behind stream routes.",
        *_named(_STREAM_NAMES, "VERIFY"),
    )
    stream_proxy_ssl_trusted_certificate: str | None = option(
        "", readers.existing_text, "The same.", *_named(_STREAM_NAMES, "TRUSTED_CERTIFICATE")
    )
    stream_proxy_ssl_verify_depth: int | None = option(
        "", readers.optional_whole, "The same.", *_named(_STREAM_NAMES, "VERIFY_DEPTH")
    )
    client_ssl: bool = option(
        "off", readers.switch, "Show `client_ssl_cert` to upstreams whose service names no certificate."
    )
    client_ssl_cert: str | None = option("", readers.existing_text, "File with that certificate, PEM.")
    client_ssl_cert_key: str | None = secret("", readers.existing_text, "File with its private key.")
