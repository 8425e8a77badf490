"""Credentials of clouds, from everywhere they may be, against a small server in place of the clouds."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.upstream import Received, Upstream

from tollhouse.cloud.access import CloudAccess
from tollhouse.cloud.aws import AwsKeys, AwsSettings
from tollhouse.cloud.renewed import CloudError, Renewed

STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2026-11-21T12:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def endpoint() -> AsyncIterator[Upstream]:
    server = await Upstream().start()
    yield server
    await server.stop()


def answers(endpoint: Upstream, status: int, body: str) -> None:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        content = body.encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content)
        return True

    endpoint.answer = answer


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*pem).decode()


async def test_a_service_account_trades_an_assertion_for_a_token_once(
    endpoint: Upstream, private_key: str
) -> None:
    answers(endpoint, 200, '{"access_token": "ya29.x", "expires_in": 3600}')
    account = {"type": "service_account", "client_email": "a@b", "private_key": private_key}
    account["token_uri"] = f"{endpoint.url}/token"
    clock = Clock()
    tokens = CloudAccess({}, clock).google(json.dumps(account))

    assert tokens.current() is None
    assert list(await asyncio.gather(tokens.renew(), tokens.renew())) == ["ya29.x", "ya29.x"]
    assert tokens.current() == "ya29.x"
    assert len(endpoint.received) == 1
    assert b"assertion=" in endpoint.received[0].body
    clock.now += 3600 - 60
    assert tokens.current() is None
    await tokens.renew()
    assert len(endpoint.received) == 2


async def test_the_reason_of_google_is_told(endpoint: Upstream, private_key: str) -> None:
    answers(endpoint, 400, '{"error": "invalid_grant", "error_description": "account not found"}')
    account = {"type": "service_account", "client_email": "a@b", "private_key": private_key}
    account["token_uri"] = f"{endpoint.url}/token"

    with pytest.raises(CloudError, match="account not found"):
        await CloudAccess({}, Clock()).google(json.dumps(account)).renew()


async def test_a_user_file_is_named_by_the_environment(tmp_path: Path) -> None:
    missing = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}

    with pytest.raises(CloudError, match="cannot read"):
        await CloudAccess(missing, Clock()).google(None).renew()


async def test_a_machine_in_google_cloud_asks_its_metadata_server(endpoint: Upstream) -> None:
    answers(endpoint, 200, '{"access_token": "m", "expires_in": 100, "token_type": "Bearer"}')
    environment = {"GCE_METADATA_HOST": f"127.0.0.1:{endpoint.port}", "HOME": "/nonexistent"}

    assert await CloudAccess(environment, Clock()).google(None).renew() == "m"
    assert endpoint.received[0].headers["metadata-flavor"] == "Google"


@pytest.mark.parametrize(
    ("settings", "environment", "key", "token"),
    [
        (("AKIA1", "s"), {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "s"}, "AKIA1", None),
        (
            (None, None),
            {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
            "AKIA2",
            "t",
        ),
    ],
)
async def test_keys_of_the_settings_go_before_those_of_the_environment(
    settings: tuple[str | None, str | None], environment: dict[str, str], key: str, token: str | None
) -> None:
    found = await CloudAccess(environment, Clock()).aws("eu-west-1", *settings).renew()

    assert (found.access_key_id, found.session_token) == (key, token)


async def test_a_profile_has_keys(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[team]\naws_access_key_id = AKIA3\naws_secret_access_key = s\n")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "team", "HOME": str(tmp_path)}

    assert (
        await CloudAccess(environment, Clock()).aws("eu-west-1", None, None).renew()
    ).access_key_id == "AKIA3"


async def test_a_pod_trades_its_web_identity_for_keys(endpoint: Upstream, tmp_path: Path) -> None:
    answers(endpoint, 200, STS)
    (tmp_path / "token").write_text("jwt\n")
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
        "AWS_ENDPOINT_URL_STS": f"{endpoint.url}/",
    }

    found = await CloudAccess(environment, Clock()).aws("eu-west-1", None, None).renew()

    assert (found.access_key_id, found.session_token) == ("ASIA1", "t")
    assert b"WebIdentityToken=jwt" in endpoint.received[0].body


async def test_a_role_is_assumed_with_a_signed_request(endpoint: Upstream) -> None:
    answers(endpoint, 200, STS.replace("WithWebIdentity", ""))
    settings = AwsSettings(
        region="eu-west-1",
        access_key_id="AKIA1",
        secret_access_key="s",
        role_arn="arn:aws:iam::1:role/r",
        sts_url=f"{endpoint.url}/",
    )

    found = await AwsKeys(settings, {}, Clock()).renewed().renew()

    assert found.access_key_id == "ASIA1"
    assert "Credential=AKIA1/" in endpoint.received[0].headers["authorization"]


async def test_what_sts_refuses_is_told(endpoint: Upstream, tmp_path: Path) -> None:
    answers(endpoint, 403, "<Error>AccessDenied</Error>")
    (tmp_path / "token").write_text("jwt")
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "r",
        "AWS_ENDPOINT_URL_STS": f"{endpoint.url}/",
    }

    with pytest.raises(CloudError, match="AccessDenied"):
        await CloudAccess(environment, Clock()).aws("eu-west-1", None, None).renew()


async def test_a_failure_is_not_kept() -> None:
    outcomes: Iterator[CloudError | tuple[str, None]] = iter([CloudError("down"), ("fresh", None)])

    async def fetch() -> tuple[str, float | None]:
        outcome = next(outcomes)
        if isinstance(outcome, CloudError):
            raise outcome
        return outcome

    tokens: Renewed[str] = Renewed(fetch, Clock())
    with pytest.raises(CloudError):
        await tokens.renew()
    assert await tokens.renew() == "fresh"
    assert tokens.current() == "fresh"
