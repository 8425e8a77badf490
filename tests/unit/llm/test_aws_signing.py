"""Signature Version 4, beside AWS's published examples and botocore; credentials in files and answers."""

import importlib
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.llm.signing.aws import AwsCredentials, canonical_path, signed_fields
from tollhouse.llm.signing.aws_profiles import (
    Profile,
    assume_role_form,
    credentials_in,
    profile_in,
    web_identity_form,
)

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
LONG_FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
OF_BODY = (("Content-Length", "13"), ("x-amz-content-sha256", sha256(b"Param1=value1").hexdigest()))

#: Amazon's examples, those that normalise paths: method, target, headers, signature
#: https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4
EXAMPLES: list[tuple[str, str, tuple[tuple[str, str], ...], str]] = [
    (
        "GET",
        "/",
        (
            ("My-Header1", "value2"),
            ("My-Header1", "value2"),
            ("My-Header1", "value1"),
        ),
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "GET",
        "/",
        (("My-Header1", "value1\n  value2\n     value3"),),
        "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
    ),
    (
        "GET",
        "/",
        (
            ("My-Header1", "value4"),
            ("My-Header1", "value1"),
            ("My-Header1", "value3"),
            ("My-Header1", "value2"),
        ),
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        "GET",
        "/",
        (
            ("My-Header1", " value1"),
            ("My-Header2", ' "a   b   c"'),
        ),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    ("GET", "/example/..", (), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        "/example1/example2/../..",
        (),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    ("GET", "/./", (), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "//", (), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/./example", (), "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    ("GET", "//example//", (), "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ("GET", "/example space/", (), "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    ("GET", f"/{UNRESERVED}", (), "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    ("GET", "/ሴ", (), "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("GET", "/", (), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/?Param1=value1", (), "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    (
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        (),
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "GET",
        "/?Param2=value2&Param1=value1",
        (),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET",
        f"/?{UNRESERVED}={UNRESERVED}",
        (),
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    ("GET", "/?ሴ=bar", (), "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ("POST", "/", (), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "POST",
        "/",
        (("My-Header1", "value1"),),
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "POST",
        "/",
        (("My-Header1", "VALUE1"),),
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    ("POST", "/?Param1=value1", (), "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    ("POST", "/", (FORM, *OF_BODY), "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"),
    ("POST", "/", (LONG_FORM, *OF_BODY), "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"),
]


def signature(fields: dict[str, str]) -> str:
    return fields["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(("method", "target", "headers", "expected"), EXAMPLES)
def test_amazons_examples(
    method: str, target: str, headers: tuple[tuple[str, str], ...], expected: str
) -> None:
    path, _, query = target.partition("?")
    body = b"Param1=value1" if OF_BODY[0] in headers else b""

    fields = signed_fields(
        method,
        "example.amazonaws.com",
        path,
        query,
        headers,
        body,
        AwsCredentials(KEY, SECRET),
        region="us-east-1",
        service="service",
        instant=AT,
    )

    assert signature(fields) == expected
    assert fields["X-Amz-Date"] == "20150830T123600Z"


def test_a_session_token_is_sent_and_signed() -> None:
    fields = signed_fields(
        "GET",
        "example.amazonaws.com",
        "/",
        "",
        (),
        b"",
        AwsCredentials(KEY, SECRET, TOKEN),
        region="us-east-1",
        service="service",
        instant=AT,
    )

    assert fields["X-Amz-Security-Token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in fields["Authorization"]
    assert signature(fields) == "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"


# Beside botocore

MODELS = st.sampled_from(
    [
        "anthropic.claude-sonnet-4-5-20250929-v1%3A0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A000000000000%3Ainference-profile%2Fus.anthropic.claude-v1%3A0",
    ]
)


@given(
    model=MODELS,
    body=st.binary(max_size=50),
    token=st.one_of(st.none(), st.text("abc/+=", min_size=1)),
    value=st.text("ab \t", min_size=1, max_size=9),
    query=st.sampled_from(["", "a=1", "b=2&a=1&a=0", "x=%2F%20&y"]),
)
def test_botocore_signs_alike(model: str, body: bytes, token: str | None, value: str, query: str) -> None:
    auth = importlib.import_module("botocore.auth")
    awsrequest = importlib.import_module("botocore.awsrequest")
    credentials = importlib.import_module("botocore.credentials")
    path = f"/model/{model}/converse"
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com{path}" + (f"?{query}" if query else "")
    theirs = awsrequest.AWSRequest("POST", url, {"Content-Type": "application/json", "X-Any": value}, body)
    auth.SigV4Auth(credentials.Credentials(KEY, SECRET, token), "bedrock", "eu-west-1").add_auth(theirs)

    ours = signed_fields(
        "POST",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        path,
        query,
        [("Content-Type", "application/json"), ("X-Any", value)],
        body,
        AwsCredentials(KEY, SECRET, token),
        region="eu-west-1",
        service="bedrock",
        instant=datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%S%z").timestamp(),
    )

    assert ours == {name: theirs.headers[name] for name in ours}


def test_what_changes_on_the_way_is_not_signed() -> None:
    def authorization(*headers: tuple[str, str]) -> str:
        fields = signed_fields(
            "POST",
            "h",
            "/",
            "",
            headers,
            b"",
            AwsCredentials(KEY, SECRET),
            region="r",
            service="s",
            instant=0,
        )
        return fields["Authorization"]

    assert authorization(("User-Agent", "x"), ("authorization", "Bearer y"), ("x-amz-date", "old")) == (
        authorization()
    )


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(AwsCredentials(KEY, SECRET, TOKEN))
    assert TOKEN not in repr(AwsCredentials(KEY, SECRET, TOKEN))


@pytest.mark.parametrize(
    ("path", "canonical"),
    [("", "/"), ("/model/a%3A0/converse", "/model/a%253A0/converse"), ("/a/./b/..", "/a/"), ("/..", "/")],
)
def test_paths_are_encoded_once_more_than_they_are_sent(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


# Profiles

CREDENTIALS = """
[default]
aws_access_key_id = AK1
aws_secret_access_key = SK/1=  # not a part of it

[dev]
aws_access_key_id=AK2
aws_secret_access_key=SK2
aws_session_token=T2
"""
CONFIG = """
[default]
region = us-east-1
[profile dev]
region = eu-west-1
s3 =
    max_concurrent_requests = 20
[profile role]
role_arn = arn:aws:iam::000000000000:role/r
source_profile = dev
external_id = e
[profile pod]
role_arn = arn:aws:iam::000000000000:role/r
web_identity_token_file = /var/run/token
role_session_name = s
[profile "tool"]
credential_process = /bin/tool --x
[dev]
region = never
"""


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("default", Profile(credentials=AwsCredentials("AK1", "SK/1="), region="us-east-1")),
        ("dev", Profile(credentials=AwsCredentials("AK2", "SK2", "T2"), region="eu-west-1")),
        (
            "role",
            Profile(
                role_arn="arn:aws:iam::000000000000:role/r",
                source_profile="dev",
                external_id="e",
                region=None,
            ),
        ),
        (
            "pod",
            Profile(
                role_arn="arn:aws:iam::000000000000:role/r",
                web_identity_token_file="/var/run/token",
                role_session_name="s",
            ),
        ),
        ("tool", Profile(credential_process="/bin/tool --x")),
        ("other", None),
    ],
)
def test_profiles(name: str, profile: Profile | None) -> None:
    assert profile_in(name, CREDENTIALS, CONFIG) == profile


def test_a_broken_file_does_not_show_its_secrets() -> None:
    with pytest.raises(ValueError, match="not a file of AWS profiles") as caught:
        profile_in("default", "aws_secret_access_key = hidden")

    assert "hidden" not in str(caught.value)


# Answers with credentials

EXPIRY = datetime(2026, 11, 21, 8, tzinfo=UTC).timestamp()
XML = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <AssumedRoleUser><Arn>arn:x</Arn><AssumedRoleId>i</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>
      <SessionToken>T</SessionToken><Expiration>2026-11-21T08:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (XML, AwsCredentials("AK", "SK", "T", EXPIRY)),
        (
            b'{"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": {"AccessKeyId": "AK", '
            b'"SecretAccessKey": "SK", "SessionToken": "T", "Expiration": 1795248000.0}}}}',
            AwsCredentials("AK", "SK", "T", 1795248000.0),
        ),
        (
            b'{"Code": "Success", "AccessKeyId": "AK", "SecretAccessKey": "SK", "Token": "T", '
            b'"Expiration": "2026-11-21T08:00:00Z"}',
            AwsCredentials("AK", "SK", "T", EXPIRY),
        ),
        (b'{"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK"}', AwsCredentials("AK", "SK")),
    ],
)
def test_answers_with_credentials(answer: bytes, expected: AwsCredentials) -> None:
    assert credentials_in(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"AccessKeyId": "AK"}',
        b"<html>",
        b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><Credentials/>',
        b"\xff",
        b'{"AccessKeyId": "AK", "SecretAccessKey": "hidden", "Expiration": "soon"}',
    ],
)
def test_answers_without_credentials(answer: bytes) -> None:
    with pytest.raises(PeerError, match="no credentials") as caught:
        credentials_in(answer)

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            web_identity_form("arn:aws:iam::0:role/r", "a.b", "s"),
            b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A0%3Arole%2Fr"
            b"&RoleSessionName=s&DurationSeconds=3600&WebIdentityToken=a.b",
        ),
        (
            assume_role_form("r", "s", external_id="e", seconds=900),
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=r&RoleSessionName=s&DurationSeconds=900&ExternalId=e",
        ),
        (
            assume_role_form("r", "s"),
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=r&RoleSessionName=s&DurationSeconds=3600",
        ),
    ],
)
def test_what_sts_is_asked(form: Any, expected: bytes) -> None:
    assert form == expected
