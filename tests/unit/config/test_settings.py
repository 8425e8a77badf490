"""Settings from the environment: how values are read, which variable wins, what is told when it is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollhouse.config import readers
from tollhouse.config.settings import Settings, from_environment, options
from tollhouse.errors import ConfigErrors


def problems(**environment: str) -> list[str]:
    with pytest.raises(ConfigErrors) as refused:
        from_environment(environment)
    return [str(error) for error in refused.value.errors]


def test_defaults_are_kongs_but_where_said_otherwise() -> None:
    settings = from_environment({"HOME": "/home/x"})

    assert settings.prefix == Path("/home/x/.local/state/tollhouse")
    assert [str(listen) for listen in settings.proxy_listen] == ["0.0.0.0:8000"]
    assert [str(listen) for listen in settings.admin_listen] == ["127.0.0.1:8001"]
    assert settings.upstream_keepalive_pool_size == 512
    assert settings.headers == ("server_tokens", "latency_tokens", "X-Kong-Request-Id")
    assert settings.keepalive_timeout == 75
    assert settings.dns_valid_ttl is None
    assert settings.proxy_access_log is None
    assert settings.proxy_error_log == "/dev/stderr"


def test_tollhouse_wins_over_kong_and_blanks_do_not_count() -> None:
    settings = from_environment(
        {"KONG_LOG_LEVEL": "error", "TOLLHOUSE_LOG_LEVEL": " debug ", "KONG_REAL_IP_RECURSIVE": "ON"}
    )

    assert settings.log_level == "debug"
    assert settings.real_ip_recursive is True


def test_a_setting_may_have_two_names() -> None:
    assert from_environment({"KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE": "1m"}).client_max_body_size == 2**20
    both = {"KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE": "1m", "KONG_CLIENT_MAX_BODY_SIZE": "2m"}
    assert from_environment(both).client_max_body_size == 2**21


def test_log_files_are_under_the_prefix_unless_absolute() -> None:
    settings = from_environment(
        {
            "KONG_PREFIX": "/srv/node",
            "KONG_PROXY_ACCESS_LOG": "logs/access.log kong_log_format",
            "KONG_ADMIN_ACCESS_LOG": "/var/log/admin.log",
            "KONG_STATUS_ACCESS_LOG": "off",
            "KONG_PROXY_ERROR_LOG": "logs/error.log",
        }
    )

    assert settings.proxy_access_log == "/srv/node/logs/access.log"
    assert settings.admin_access_log == "/var/log/admin.log"
    assert settings.status_access_log is None
    assert settings.proxy_error_log == "/srv/node/logs/error.log"


def test_everything_wrong_is_told_with_the_variable_that_is_set() -> None:
    assert problems(KONG_LOG_LEVEL="loud", TOLLHOUSE_DNS_STALE_TTL="x", KONG_DATABASE="cassandra") == [
        "KONG_LOG_LEVEL: 'loud' is not one of: debug, info, notice, warn, error, crit, alert, emerg",
        "KONG_DATABASE: 'cassandra' is not one of: off, postgres",
        "TOLLHOUSE_DNS_STALE_TTL: 'x' is not a time like 60s, 500ms or 2m",
    ]


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.touch()

    assert problems(KONG_SSL_CERT=str(file)) == ["KONG_SSL_CERT_KEY: needed because KONG_SSL_CERT is set"]
    assert problems(KONG_SSL_CERT_KEY=str(file)) == ["KONG_SSL_CERT: needed because KONG_SSL_CERT_KEY is set"]
    assert problems(KONG_SSL_CERT=str(file), KONG_SSL_CERT_KEY="/none") == [
        "KONG_SSL_CERT_KEY: there is no file '/none'"
    ]
    assert problems(KONG_PROXY_ACCESS_LOG="") == ["KONG_PROXY_ACCESS_LOG: '' is neither a file nor off"]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (readers.size, "0", 0),
        (readers.size, "8k", 8192),
        (readers.size, "10M", 10 * 2**20),
        (readers.size, "1g", 2**30),
        (readers.seconds, "60", 60.0),
        (readers.seconds, "1.5s", 1.5),
        (readers.seconds, "500ms", 0.5),
        (readers.seconds, "2m", 120.0),
        (readers.seconds, "1h", 3600.0),
        (readers.switch, "true", True),
        (readers.switch, "OFF", False),
        (readers.words, " a, b ,,c", ("a", "b", "c")),
        (
            readers.networks,
            "10.0.0.0/8, ::1, unix:, 1.2.3.4/24",
            ("10.0.0.0/8", "::1", "unix:", "1.2.3.4/24"),
        ),
        (readers.headers, "off", ("off",)),
        (readers.headers, "X-Kong-Upstream-Status, via", ("X-Kong-Upstream-Status", "via")),
        (readers.file_or_off, "/var/log/a b", None),
        (readers.processes, "3", 3),
    ],
)
def test_a_value_is_read(read: Callable[[str], Any], text: str, value: object) -> None:
    if value is None:
        with pytest.raises(ValueError, match="log format 'b' is not supported"):
            read(text)
    else:
        assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((readers.size, text) for text in ("", "-1", "k", "1kk", "1.5m", "²", "1t")),
        *((readers.seconds, text) for text in ("", "-1", "inf", "nan", "1e3", "s", "1..5", "5 s")),
        *((readers.whole, text) for text in ("", "-1", "1.0", "٣")),
        *((readers.positive, text) for text in ("0", "x")),
        *((readers.processes, text) for text in ("0", "many")),
        *((readers.switch, text) for text in ("", "yes", "1")),
        *((readers.buffers, text) for text in ("", "8k", "0 8k", "4 x")),
        *((readers.added_header, text) for text in ("X", "X a b", "X $host", "X 'a", "X Y: 1")),
        *((readers.networks, text) for text in ("10.0.0.0/33", "host.test", "1.2.3")),
        (readers.headers, "x-mine"),
        (readers.file_or_off, "syslog:server=a"),
    ],
)
def test_nonsense_is_refused_in_words(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        read(text)
    assert "literal" not in str(refused.value)
    assert "convert" not in str(refused.value)


def test_every_field_is_declared_as_an_option() -> None:
    assert set(options()) == set(Settings.__dataclass_fields__)
    assert all(option.names for option in options().values())


def test_the_databases_password_may_come_from_the_environment_and_is_never_shown() -> None:
    settings = from_environment({"KONG_PG_PASSWORD": "{vault://env/pg-secret}", "PG_SECRET": "tops3cret"})

    assert settings.pg_password == "tops3cret"
    assert "tops3cret" not in repr(settings)
    assert problems(KONG_PG_PASSWORD="{vault://env/pg-secret}") == [
        "KONG_PG_PASSWORD: failed to dereference '{vault://env/pg-secret}': "
        "the environment has no such variable"
    ]


def test_a_setting_may_stand_in_a_vault() -> None:
    environment = {"KONG_PROXY_LISTEN": "{vault://env/where}", "WHERE": "127.0.0.1:9"}
    assert [str(listen) for listen in from_environment(environment).proxy_listen] == ["127.0.0.1:9"]
    with pytest.raises(ConfigErrors) as caught:
        from_environment(
            {"KONG_DNS_CACHE_SIZE": "{vault://env/size}", "KONG_HEADERS": "{vault://x/y}", "SIZE": "s3"}
        )
    assert [str(error) for error in caught.value.errors] == [
        "KONG_HEADERS: failed to dereference '{vault://x/y}': there is no vault 'x', neither env, file nor "
        "the prefix of an entity",
        "KONG_DNS_CACHE_SIZE: what '{vault://env/size}' stands for is no value for it",
    ]
