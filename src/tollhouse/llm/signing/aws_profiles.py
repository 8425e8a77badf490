"""What `~/.aws/credentials` and `~/.aws/config` say, and what the services that hand out credentials answer.

Functions of texts: who reads files and calls services passes them in.
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from configparser import Error, RawConfigParser
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.signing.aws import AwsCredentials

#: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
STS_VERSION: Final = "2011-06-15"
DEFAULT_PROFILE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile of a user's files: keys, or how to get some."""

    credentials: AwsCredentials | None = None
    region: str | None = None
    #: a role to take on, with the credentials of `source_profile` or a token in a file
    role_arn: str | None = None
    role_session_name: str | None = None
    external_id: str | None = None
    source_profile: str | None = None
    web_identity_token_file: str | None = None
    credential_process: str | None = None


def profile_in(name: str, credentials_text: str = "", config_text: str = "") -> Profile | None:
    """The profile of that name; `None` if no file has it. In `config` others than the default one are
    called `[profile name]`; what stands in `credentials` goes before. Raises `ValueError`."""
    sections = [name] if name == DEFAULT_PROFILE else []
    found = _section(config_text, (f"profile {name}", *sections))
    own = _section(credentials_text, (name,))
    if found is None and own is None:
        return None
    values = (found or {}) | (own or {})
    key, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    return Profile(
        credentials=AwsCredentials(key, secret, values.get("aws_session_token")) if key and secret else None,
        region=values.get("region"),
        role_arn=values.get("role_arn"),
        role_session_name=values.get("role_session_name"),
        external_id=values.get("external_id"),
        source_profile=values.get("source_profile"),
        web_identity_token_file=values.get("web_identity_token_file"),
        credential_process=values.get("credential_process"),
    )


def _section(text: str, names: tuple[str, ...]) -> dict[str, str] | None:
    parser = RawConfigParser(strict=False, default_section="", inline_comment_prefixes=(" #", " ;"))
    try:
        parser.read_string(text)
    except Error as error:
        # Its message shows lines, and a line may be a secret.
        raise ValueError(f"not a file of AWS profiles: {type(error).__name__}") from None
    # Blanks within brackets do not count: `[ profile  dev ]`.
    sections = {" ".join(section.replace('"', "").split()): section for section in parser.sections()}
    for name in names:
        if name in sections:
            return {option: value.strip() for option, value in parser.items(sections[name]) if value}
    return None


def web_identity_form(role_arn: str, token: str, session_name: str, *, seconds: int = 3600) -> bytes:
    """The body of a POST to STS that trades a token (of Kubernetes, for instance) for credentials. It is
    not signed."""
    return _form(
        "AssumeRoleWithWebIdentity",
        role_arn,
        session_name,
        DurationSeconds=str(seconds),
        WebIdentityToken=token,
    )


def assume_role_form(
    role_arn: str, session_name: str, *, external_id: str | None = None, seconds: int = 3600
) -> bytes:
    """The body of a POST to STS, to be signed with the credentials that may take on the role."""
    more = {} if external_id is None else {"ExternalId": external_id}
    return _form("AssumeRole", role_arn, session_name, DurationSeconds=str(seconds), **more)


def _form(action: str, role_arn: str, session_name: str, **more: str) -> bytes:
    members = {"Action": action, "Version": STS_VERSION, "RoleArn": role_arn, "RoleSessionName": session_name}
    return urlencode(members | more).encode()


def credentials_in(answer: bytes) -> AwsCredentials:
    """The credentials in an answer of STS (XML, or JSON if that was asked for), of the metadata services
    of EC2, ECS and EKS, or of a `credential_process`. Raises `PeerError`."""
    try:
        given = _in_xml(answer) if answer.lstrip().startswith(b"<") else _in_json(msgspec.json.decode(answer))
        token = given.get("SessionToken") or given.get("Token")
        return AwsCredentials(
            str(given["AccessKeyId"]),
            str(given["SecretAccessKey"]),
            None if token is None else str(token),
            _instant(given.get("Expiration")),
        )
    except (msgspec.DecodeError, ElementTree.ParseError, LookupError, ValueError, RecursionError):
        # The reason may show a part of the answer, which is a secret.
        raise PeerError("the answer has no credentials of AWS") from None


def _in_xml(answer: bytes) -> dict[str, Any]:
    """The members of the only element `Credentials`, whatever its namespace."""
    if b"<!" in answer:
        raise ValueError("a document type")  # STS sends none
    # Without a document type there are no entities, which are what is dangerous in XML.
    for element in ElementTree.fromstring(answer).iter():  # noqa: S314
        if _local(element) == "Credentials":
            return {_local(child): child.text for child in element}
    raise LookupError("Credentials")


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _in_json(given: Any) -> dict[str, Any]:
    """The object that has the keys: itself, or within `…Response`, `…Result`, `Credentials`."""
    while isinstance(given, dict):
        if "AccessKeyId" in given:
            return given
        inner = (value for name, value in given.items() if name.endswith(("Response", "Result")))
        given = given.get("Credentials") or next(inner, None)
    raise LookupError("AccessKeyId")


def _instant(value: Any) -> float | None:
    """Seconds since the epoch; STS tells an RFC 3339 text in XML and a number in JSON."""
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) else datetime.fromisoformat(value).timestamp()
