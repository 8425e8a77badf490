"""Tokens of Google Cloud; assertions beside those of Google's own library."""

import importlib
import json
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tollhouse.llm.signing.google import (
    AuthorizedUser,
    BadCredentials,
    ServiceAccount,
    Token,
    TokenRequest,
    assertion,
    credentials_of,
    metadata_request,
    project_request,
    token_in,
    token_request,
)

NOW = 1_700_000_000.9
KEY = rsa.generate_private_key(65_537, 2048)


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


FILE = {
    "type": "service_account",
    "project_id": "example-project",
    "private_key_id": "kid",
    "private_key": pem(KEY),
    "client_email": "gateway@example-project.iam.gserviceaccount.com",
    "client_id": "1",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}


def account(**members: Any) -> ServiceAccount:
    found = credentials_of(json.dumps(FILE | members))
    assert isinstance(found, ServiceAccount)
    return found


def part(text: str) -> Any:
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_an_assertion_says_who_asks_and_is_signed() -> None:
    header, claims, signature = assertion(account(), NOW).split(".")

    assert part(header) == {"alg": "RS256", "typ": "JWT", "kid": "kid"}
    assert part(claims) == {
        "iss": FILE["client_email"],
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": FILE["token_uri"],
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    signed = urlsafe_b64decode(signature + "==")
    KEY.public_key().verify(signed, f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(signed, b"something else", PKCS1v15(), SHA256())


def test_a_key_without_an_id_has_none() -> None:
    header = assertion(account(private_key_id=""), NOW).partition(".")[0]

    assert part(header) == {"alg": "RS256", "typ": "JWT"}


def test_google_s_own_library_signs_the_same() -> None:
    jwt = importlib.import_module("google.auth.jwt")
    crypt = importlib.import_module("google.auth.crypt")
    ours = assertion(account(), NOW)

    signer = crypt.RSASigner.from_service_account_info(FILE)
    theirs = jwt.encode(signer, part(ours.split(".")[1])).decode()

    assert part(theirs.split(".")[0]) == part(ours.split(".")[0])
    assert part(theirs.split(".")[1]) == part(ours.split(".")[1])


def test_a_service_account_trades_its_assertion() -> None:
    asked = token_request(account(), NOW)

    assert (asked.method, asked.url) == ("POST", FILE["token_uri"])
    assert asked.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    form = parse_qs(asked.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert form["assertion"] == [assertion(account(), NOW)]


def test_a_user_trades_a_refresh_token() -> None:
    user = credentials_of(
        json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"})
    )

    asked = token_request(user, NOW)

    assert isinstance(user, AuthorizedUser)
    assert asked.url == "https://oauth2.googleapis.com/token"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["c"],
        "client_secret": ["s"],
        "refresh_token": ["r"],
    }


def test_the_metadata_server_is_asked_with_its_header() -> None:
    assert metadata_request() == TokenRequest(
        "GET",
        "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
        "?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform",
        (("Metadata-Flavor", "Google"),),
    )
    assert project_request("169.254.169.254").url == (
        "http://169.254.169.254/computeMetadata/v1/project/project-id"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the JSON"),
        ("[]", "not the JSON"),
        (b"\xff", "not the JSON"),
        ("{}", "client_email"),
        ('{"type": "authorized_user"}', "client_id"),
        ('{"type": "external_account"}', "'external_account' are not supported"),
    ],
)
def test_what_are_no_credentials(text: str | bytes, words: str) -> None:
    with pytest.raises(BadCredentials, match=words):
        credentials_of(text)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("secret text", "cannot be read"),
        (pem(KEY)[:200], "cannot be read"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
    ],
)
def test_a_key_that_cannot_sign_is_not_shown(key: str, words: str) -> None:
    with pytest.raises(BadCredentials, match=words) as refused:
        token_request(account(private_key=key), NOW)

    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}', "400: Invalid JWT"),
        (401, b'{"error":"invalid_client"}', "401: invalid_client"),
        (403, b'{"error":{"code":403}}', "403: no token"),
        (200, b"{}", "200: no token"),
        (502, b"<html>", "502 without a token"),
        (200, b"\xff", "200 without a token"),
    ],
)
def test_answers_without_a_token(status: int, body: bytes, words: str) -> None:
    with pytest.raises(BadCredentials, match=words):
        token_in(status, body)


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"access_token":"t","expires_in":3599,"token_type":"Bearer"}', Token("t", 3599)),
        (b'{"access_token":"t"}', Token("t", 3600)),
    ],
)
def test_answers_with_a_token(body: bytes, token: Token) -> None:
    found = token_in(200, body)

    assert found == token
    assert found.header == ("Authorization", "Bearer t")


@pytest.mark.parametrize(
    ("expires_in", "age", "fresh"),
    [
        (3600, 0, True),
        (3600, 3359, True),
        (3600, 3360, False),
        (100, 49, True),
        (100, 50, False),
        (0, 0, False),
    ],
)
def test_a_token_is_renewed_before_its_end(expires_in: float, age: float, fresh: bool) -> None:
    assert Token("t", expires_in).is_fresh(age) is fresh


def test_secrets_are_not_shown() -> None:
    user = AuthorizedUser("c", "hidden", "hidden")

    for thing in (user, account(), token_request(user, NOW), Token("hidden", 1)):
        assert "hidden" not in repr(thing)
        assert "PRIVATE KEY" not in repr(thing)
