from typing import Any

import pytest

from tollhouse.model.entities import ENTITIES

UUID = "00000001-0000-4000-8000-000000000000"


def check(raw: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    return ENTITIES["services"].schema.check(raw)


def test_a_service_needs_no_more_than_a_host() -> None:
    values, errors = check({"host": "a.test"})
    assert errors == {}
    assert values == {
        "id": None,
        "created_at": None,
        "updated_at": None,
        "name": None,
        "retries": 5,
        "protocol": "http",
        "host": "a.test",
        "port": 80,
        "path": None,
        "connect_timeout": 60000,
        "write_timeout": 60000,
        "read_timeout": 60000,
        "tags": None,
        "client_certificate": None,
        "tls_verify": None,
        "tls_verify_depth": None,
        "ca_certificates": None,
        "enabled": True,
    }


@pytest.mark.parametrize(
    ("url", "protocol", "host", "port", "path"),
    [
        ("http://a.test", "http", "a.test", 80, None),
        ("https://a.test/x", "https", "a.test", 443, "/x"),
        ("https://a.test:8443", "https", "a.test", 8443, None),
        ("grpc://a.test:9000", "grpc", "a.test", 9000, None),
        ("tcp://a.test", "tcp", "a.test", 80, None),
        ("//a.test:443/x", "https", "a.test", 443, "/x"),
        ("//a.test", "http", "a.test", 80, None),
        ("http://[::1]:8000", "http", "::1", 8000, None),
    ],
)
def test_a_url_is_split_into_four_fields(
    url: str, protocol: str, host: str, port: int, path: str | None
) -> None:
    values, errors = check({"url": url, "port": 1, "path": "/old"})
    assert errors == {}
    assert (values["protocol"], values["host"], values["port"], values["path"]) == (
        protocol,
        host,
        port,
        path,
    )


REQUIRED = "required field missing"
FAILED = "failed conditional validation given value of field 'protocol'"
NULL = "value must be null"


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({}, {"host": REQUIRED}),
        ({"host": None}, {"host": REQUIRED}),
        ({"url": ""}, {"url": "length must be at least 1", "host": REQUIRED}),
        ({"url": 5}, {"url": "expected a string", "host": REQUIRED}),
        ({"url": "nohost"}, {"host": REQUIRED, "path": "should start with: /"}),
        ({"url": "http://a.test:x"}, {"port": "expected an integer"}),
        (
            {"host": "x", "protocol": "ftp", "path": "x"},
            {
                "path": "should start with: /",
                "protocol": "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
            },
        ),
        ({"host": "x", "path": "/a//b"}, {"path": "must not have empty segments"}),
        ({"host": "x", "port": 70000}, {"port": "value should be between 0 and 65535"}),
        ({"host": "x", "retries": 32768}, {"retries": "value should be between 0 and 32767"}),
        ({"host": "x", "read_timeout": 0}, {"read_timeout": "value should be between 1 and 2147483646"}),
        (
            {"host": "x", "tls_verify_depth": 65, "protocol": "tls"},
            {"tls_verify_depth": "value should be between 0 and 64"},
        ),
        (
            {"host": "x", "ca_certificates": ["x"], "protocol": "tls"},
            {"ca_certificates": ["expected a valid UUID"]},
        ),
        ({"url": "tcp://x", "path": "/x"}, {}),
        ({"host": "x", "protocol": "tcp", "path": "/x"}, {"path": NULL, "@entity": [FAILED]}),
        ({"host": "x", "tls_verify": True}, {"tls_verify": NULL, "@entity": [FAILED]}),
        ({"host": "x", "tls_verify_depth": 1}, {"tls_verify_depth": NULL, "@entity": [FAILED]}),
        ({"host": "x", "ca_certificates": []}, {"ca_certificates": NULL, "@entity": [FAILED]}),
        (
            {"host": "x", "client_certificate": {"id": UUID}},
            {"client_certificate": NULL, "@entity": [FAILED]},
        ),
        ({"host": "x", "protocol": "https", "tls_verify": True, "client_certificate": {"id": UUID}}, {}),
    ],
)
def test_a_bad_service_is_told_in_kongs_words(raw: dict[str, Any], errors: dict[str, Any]) -> None:
    assert check(raw)[1] == errors
