"""One conversation with an authority, by the library `acme` of certbot. Blocks: to be run in a thread.

Imported when the first certificate is asked for, for the library comes with the extra `acme`.
"""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import certifi
import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from josepy.b64 import b64encode
from josepy.errors import Error as JoseError
from josepy.jwa import ES256, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA
from josepy.util import ComparableECKey, ComparableRSAKey

from tollhouse import __version__
from tollhouse.errors import PeerError
from tollhouse.pdk.acme import CHALLENGE_PATH

#: how long an authority may take for a request, and for all of an order, in seconds
_REQUEST_SECONDS: Final = 30
_ORDER_SECONDS: Final = 120
#: RFC 5280: the longest common name
_LONGEST_COMMON_NAME: Final = 64

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Whom to ask, and as whom. Keys are PEM."""

    directory: str
    #: files of authorities that vouch for its own certificate, and `system`
    trusted: tuple[str, ...]
    email: str
    account_key: str
    terms_agreed: bool
    eab_kid: str | None = None
    eab_hmac_key: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its chain, and its key, PEM."""

    certificate: str
    key: str


def account_key() -> str:
    """A key for a new account."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def certificate_key(kind: str, bits: int) -> str:
    """A key for a certificate, of kind `rsa` or `ecc`."""
    if kind == "ecc":
        return _pem(ec.generate_private_key(ec.SECP256R1()))
    return _pem(rsa.generate_private_key(65537, bits))


def thumbprint(key: str) -> str:
    """What a key is called in the answers to challenges (RFC 7638)."""
    return b64encode(_jwk(key).thumbprint()).decode()


def pem_of_jwk(text: str) -> str:
    """A private key that is given as JWK. Raises `PeerError`."""
    try:
        key = JWK.json_loads(text).key
        private = getattr(key, "_wrapped", key)
    except (JoseError, ValueError) as error:
        raise PeerError(f"the account's key cannot be read: {error}") from error
    if not isinstance(private, PrivateKey):
        raise PeerError("the account's key is no private RSA or EC key")
    return _pem(private)


def issue(authority: Authority, host: str, key: str, preferred_chain: str | None) -> Issued:
    """A certificate for a name or an IPv4 address. Raises `PeerError` with the authority's own words."""
    try:
        with _trusted(authority.trusted) as file:
            return Issued(_ordered(_client(authority, file), host, key, preferred_chain), key)
    except errors.ValidationError as error:
        raise PeerError(_failed(error)) from error
    except (errors.Error, messages.Error, JoseError, OSError, ValueError) as error:
        raise PeerError(str(error) or type(error).__name__) from error


def challenge_arrives(host: str) -> str | None:
    """Why the authority's question would not arrive here; asks as it does, but for what has no answer."""
    url = f"http://{host}{CHALLENGE_PATH}x"
    try:
        answer = requests.get(url, timeout=_REQUEST_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return str(error)
    if answer.text == "Not found\n":
        return None
    status = "" if answer.status_code == 404 else f", unexpected status code: {answer.status_code}"
    return f'unexpected response: "{answer.text}"{status}'


@contextmanager
def _trusted(names: Sequence[str]) -> Iterator[str | None]:
    """One file with all authorities; None for those of the library."""
    if tuple(names) == ("system",):
        yield None
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        for name in names:
            found = ssl.get_default_verify_paths().cafile if name == "system" else name
            file.write(Path(found or certifi.where()).read_text() + "\n")
        file.flush()
        yield file.name


def _ordered(acme: client.ClientV2, host: str, key: str, preferred_chain: str | None) -> str:
    order = acme.new_order(_request(host, key))
    for authorization in order.authorizations:
        if authorization.body.status != messages.STATUS_VALID:
            challenge = _http_challenge(authorization.body.challenges)
            acme.answer_challenge(challenge, challenge.response(acme.net.key))
    until = datetime.datetime.now() + datetime.timedelta(seconds=_ORDER_SECONDS)
    order = acme.poll_authorizations(order, until)
    order = acme.finalize_order(order, until, fetch_alternative_chains=preferred_chain is not None)
    chains = [order.fullchain_pem, *(order.alternative_fullchains_pem or ())]
    return _preferred(chains, preferred_chain)


def _client(authority: Authority, trusted: str | None) -> client.ClientV2:
    key = _jwk(authority.account_key)
    algorithm = ES256 if isinstance(key, JWKEC) else RS256
    net = client.ClientNetwork(
        key,
        alg=algorithm,
        # It goes to `requests`, which takes the name of a file as well.
        verify_ssl=cast(bool, trusted or True),
        user_agent=f"tollhouse/{__version__}",
        timeout=_REQUEST_SECONDS,
    )
    directory = client.ClientV2.get_directory(authority.directory, net)
    acme = client.ClientV2(directory, net)
    binding = None
    if authority.eab_kid is not None and authority.eab_hmac_key is not None:
        binding = messages.ExternalAccountBinding.from_data(
            account_public_key=key.public_key(),
            kid=authority.eab_kid,
            hmac_key=authority.eab_hmac_key,
            directory=directory,
        )
    registration = messages.NewRegistration.from_data(
        email=authority.email,
        terms_of_service_agreed=authority.terms_agreed,
        external_account_binding=binding,
    )
    try:
        acme.new_account(registration)
    except errors.ConflictError as known:  # the account is there already
        net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
    return acme


def _http_challenge(offered: Sequence[messages.ChallengeBody]) -> messages.ChallengeBody:
    for body in offered:
        if isinstance(body.chall, challenges.HTTP01):
            return body
    raise PeerError("the authority offers no http-01 challenge")


def _request(host: str, key: str) -> bytes:
    """A certificate signing request, PEM."""
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.IPv4Address(host))
    except ValueError:
        name = x509.DNSName(host)
    common = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= _LONGEST_COMMON_NAME else []
    if isinstance(name, x509.IPAddress):
        common = []  # the common name is read as a name of DNS
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common))
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    return builder.sign(_private(key), SHA256()).public_bytes(Encoding.PEM)


def _preferred(chains: Sequence[str], issuer: str | None) -> str:
    for chain in chains if issuer is not None else ():
        top = x509.load_pem_x509_certificates(chain.encode())[-1]
        if any(name.value == issuer for name in top.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)):
            return chain
    return chains[0]


def _failed(error: errors.ValidationError) -> str:
    told = [
        str(challenge.error)
        for authorization in error.failed_authzrs
        for challenge in authorization.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(told) or "the authority could not validate the name"


def _pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private(key: str) -> PrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    loaded = load_pem_private_key(key.encode(), None)
    if not isinstance(loaded, PrivateKey):
        raise PeerError("a key is neither RSA nor EC")
    return loaded


def _jwk(key: str) -> JWKRSA | JWKEC:
    private = _private(key)
    if isinstance(private, rsa.RSAPrivateKey):
        return JWKRSA(key=ComparableRSAKey(private))
    return JWKEC(key=ComparableECKey(private))
