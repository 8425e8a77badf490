"""Tokens of Google Cloud: what to ask for them, and what the answers say.

A service account signs an assertion with its private key and trades it for an access token
(https://developers.google.com/identity/protocols/oauth2/service-account#httprest); a user's own
credentials trade a refresh token; on Google's machines a metadata server gives tokens to whoever asks.
Whoever fetches tokens is elsewhere; instants arrive as arguments, in seconds since the epoch.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
OAUTH_URL: Final = "https://oauth2.googleapis.com/token"
#: the environment variable that names a file with credentials, and where gcloud leaves a user's own
#: (https://cloud.google.com/docs/authentication/application-default-credentials)
CREDENTIALS_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
CREDENTIALS_FILE: Final = "~/.config/gcloud/application_default_credentials.json"
#: overrides the host of the metadata server
METADATA_VARIABLE: Final = "GCE_METADATA_HOST"
METADATA_HOST: Final = "metadata.google.internal"
_METADATA_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/token"
_PROJECT_PATH: Final = "/computeMetadata/v1/project/project-id"
#: Google refuses assertions that are valid for longer
_VALID_SECONDS: Final = 3600
#: a token is renewed this long before its end, for clocks differ and requests take time
RENEW_SECONDS: Final = 240
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FORM: Final = "application/x-www-form-urlencoded"


class BadCredentials(ValueError):
    """Credentials that cannot be used, or that Google refuses. The text never shows them."""


class ServiceAccount(msgspec.Struct, frozen=True):
    """The key file of a service account."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    project_id: str = ""
    token_uri: str = OAUTH_URL

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email!r})"


class AuthorizedUser(msgspec.Struct, frozen=True):
    """What `gcloud auth application-default login` leaves."""

    client_id: str
    client_secret: str
    refresh_token: str
    quota_project_id: str = ""

    def __repr__(self) -> str:
        return f"AuthorizedUser({self.client_id!r})"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request for a token; `body` is empty for GET."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. `expires_in` is in seconds from the answer on."""

    value: str = field(repr=False)
    expires_in: float

    def is_fresh(self, age: float) -> bool:
        """Whether it can be used, that many seconds after it came."""
        return age < self.expires_in - min(RENEW_SECONDS, self.expires_in / 2)

    @property
    def header(self) -> tuple[str, str]:
        return "Authorization", f"Bearer {self.value}"


class _Kind(msgspec.Struct):
    type: str = ""


def credentials_of(text: str | bytes) -> ServiceAccount | AuthorizedUser:
    """Reads a file of credentials. Raises `BadCredentials`."""
    try:
        kind = msgspec.json.decode(text, type=_Kind).type
        if kind == "authorized_user":
            return msgspec.json.decode(text, type=AuthorizedUser)
        if kind in ("service_account", ""):
            return msgspec.json.decode(text, type=ServiceAccount)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadCredentials(f"not the JSON of a key file of Google Cloud: {error}") from None
    raise BadCredentials(f"credentials of the type '{kind}' are not supported")


def token_request(
    credentials: ServiceAccount | AuthorizedUser, now: float, scope: str = SCOPE
) -> TokenRequest:
    """What to send for a token. Raises `BadCredentials` for a key that cannot sign."""
    if isinstance(credentials, AuthorizedUser):
        url = OAUTH_URL
        form = {
            "grant_type": "refresh_token",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "refresh_token": credentials.refresh_token,
        }
    else:
        url = credentials.token_uri
        form = {"grant_type": _GRANT, "assertion": assertion(credentials, now, scope)}
    return TokenRequest("POST", url, (("Content-Type", _FORM),), urlencode(form).encode())


def assertion(account: ServiceAccount, now: float, scope: str = SCOPE) -> str:
    """A signed JWT (RFC 7523) that says who asks, for what, and when. Raises `BadCredentials`."""
    header = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id:
        header["kid"] = account.private_key_id
    claims = {
        "iss": account.client_email,
        "scope": scope,
        "aud": account.token_uri,
        "iat": int(now),
        "exp": int(now) + _VALID_SECONDS,
    }
    signed = b".".join(_base64(msgspec.json.encode(part)) for part in (header, claims))
    return (signed + b"." + _base64(_rs256(account.private_key, signed))).decode()


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _rs256(private_key: str, data: bytes) -> bytes:
    # Loaded only where it is needed: an extra, and slow to import.
    try:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise BadCredentials("service accounts need an extra: pip install 'tollhouse[tls]'") from None
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise BadCredentials("the private key of the service account cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise BadCredentials("the private key of the service account is no RSA key")
    return key.sign(data, PKCS1v15(), SHA256())


def metadata_request(host: str = METADATA_HOST, scope: str = SCOPE) -> TokenRequest:
    """Asks the metadata server of a machine on Google Cloud; the header tells it that nobody was tricked
    into asking. https://cloud.google.com/compute/docs/access/authenticate-workloads#applications"""
    return _from_metadata(host, f"{_METADATA_PATH}?{urlencode({'scopes': scope})}")


def project_request(host: str = METADATA_HOST) -> TokenRequest:
    """Asks it for the name of the project, which is the whole body of its answer."""
    return _from_metadata(host, _PROJECT_PATH)


def _from_metadata(host: str, path: str) -> TokenRequest:
    return TokenRequest("GET", f"http://{host}{path}", (("Metadata-Flavor", "Google"),))


class _Answer(msgspec.Struct):
    access_token: str = ""
    expires_in: float = 0
    error: Any = None
    error_description: str = ""


def token_in(status: int, body: bytes) -> Token:
    """The token in an answer. Raises `BadCredentials` with Google's reason if there is none."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadCredentials(f"the token endpoint answered {status} without a token") from None
    if status != 200 or not answer.access_token:
        reason = answer.error_description or (answer.error if isinstance(answer.error, str) else "")
        raise BadCredentials(f"the token endpoint answered {status}: {reason or 'no token'}")
    return Token(answer.access_token, answer.expires_in or _VALID_SECONDS)
