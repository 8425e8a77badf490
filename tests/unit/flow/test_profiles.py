"""TLS towards services: what they say of it themselves, and what the node says for those that do not."""

from typing import Any

import pytest

from tollhouse.config.settings import from_environment
from tollhouse.flow.profiles import TlsProfiles, UsualTls
from tollhouse.model.entities import Service
from tollhouse.model.snapshot import Snapshot


def service(**fields: Any) -> Service:
    return Service(**{"id": "s", "created_at": 0, "updated_at": 0, "host": "a.test", **fields})


@pytest.mark.parametrize(
    ("own", "verify", "depth"),
    [
        ({}, True, 3),
        ({"tls_verify": False}, False, 3),
        ({"tls_verify_depth": 0}, True, 0),
        ({"tls_verify": True, "tls_verify_depth": 5}, True, 5),
    ],
)
def test_a_service_says_it_better(own: dict[str, Any], verify: bool, depth: int) -> None:
    usual = UsualTls(verify=True, authorities="usual", depth=3, certificate="c", key="k")
    profiles = TlsProfiles(Snapshot(), lambda value: value, usual)

    asked = service(**own)
    profile = profiles.of(asked, None)

    assert profiles.verifies(asked) is verify
    assert (profile.depth, profile.authorities) == (depth, ("usual",))
    assert (profile.certificate, profile.key) == ("c", "k")
    assert profiles.of(service(ca_certificates=()), None).authorities == ()


def test_http_and_streams_have_settings_of_their_own(tmp_path: Any) -> None:
    (tmp_path / "a.pem").write_text("authority")
    settings = from_environment(
        {
            "KONG_NGINX_HTTP_PROXY_SSL_VERIFY": "on",
            "KONG_NGINX_PROXY_PROXY_SSL_VERIFY_DEPTH": "2",
            "KONG_NGINX_STREAM_PROXY_SSL_TRUSTED_CERTIFICATE": str(tmp_path / "a.pem"),
        }
    )

    assert UsualTls.of(settings) == UsualTls(verify=True, depth=2)
    assert UsualTls.of_streams(settings) == UsualTls(authorities="authority")
