"""mtls-auth with certificates of authorities of our own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tollhouse.errors import Reject
from tollhouse.model.entities import CaCertificate, Consumer, MtlsAuthCredential, Ref
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.exchange import ClientSide, Exchange
from tollhouse.pdk.messages import Request
from tollhouse.pdk.plugin import Scope
from tollhouse.pdk.services import Services
from tollhouse.plugins import Registry
from tollhouse.plugins.mtls_auth import Config, MtlsAuth
from tollhouse.stores.directory import Directory, building_directory
from tollhouse.wire.headers import Headers

ROOT, STRANGER = trustme.CA(), trustme.CA()
MIDDLE = ROOT.create_child_ca()
NOW = 1_790_000_000.0
NONE, FAILED = "No required TLS certificate was sent", "TLS certificate failed verification"


def authority(id_: str, ca: trustme.CA) -> CaCertificate:
    return CaCertificate(id=id_, cert=ca.cert_pem.bytes().decode())


SNAPSHOT = Snapshot(
    ca_certificates=(authority("root", ROOT), authority("middle", MIDDLE)),
    consumers=(
        Consumer(id="1", username="alice"),
        Consumer(id="2", username="bob", custom_id="bob.test"),
        Consumer(id="3", username="carol.test"),
        Consumer(id="9", username="nobody"),
    ),
    mtls_auth_credentials=(
        MtlsAuthCredential(id="c1", consumer=Ref("1"), subject_name="alice.test"),
        MtlsAuthCredential(id="c2", consumer=Ref("1"), subject_name="x.test", ca_certificate=Ref("middle")),
        MtlsAuthCredential(id="c3", consumer=Ref("1"), subject_name="Common", ca_certificate=Ref("root")),
    ),
)


def shown(name: str, ca: trustme.CA = ROOT, **more: Any) -> tuple[bytes, ...]:
    """A chain as a client shows it."""
    issued = ca.issue_cert(name, **more)
    pems = [blob.bytes() for blob in issued.cert_chain_pems]
    return tuple(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in pems)


def plugin(snapshot: Snapshot = SNAPSHOT, clock: Callable[[], float] = lambda: NOW, **conf: Any) -> MtlsAuth:
    directory = Directory()
    building = building_directory(snapshot)
    try:
        while True:
            next(building)
    except StopIteration as done:
        directory.take_over(done.value)
    services = SimpleNamespace(directory=directory, wall_clock=clock)
    config = Config(**{"ca_certificates": ("root",), **conf})
    return MtlsAuth(config, Scope(), cast(Services, services))


def ask(instance: MtlsAuth, chain: tuple[bytes, ...]) -> Exchange:
    request = Request()
    request.method, request.headers = "GET", Headers.new()
    ex = Exchange(cast(ClientSide, SimpleNamespace(peer_ip="", certificates=chain)), request, "id", 0.0)
    instance.access(ex)
    return ex


@pytest.mark.parametrize(
    ("conf", "chain", "username", "credential"),
    [
        ({}, shown("alice.test"), "alice", "c1"),
        ({}, shown("alice.test", MIDDLE), "alice", "c1"),
        ({}, shown("other.test", common_name="Common"), "alice", "c3"),
        ({}, shown("bob.test"), "bob", None),
        ({}, shown("carol.test"), "carol.test", None),
        ({"consumer_by": ("custom_id",), "default_consumer": "nobody"}, shown("carol.test"), "nobody", None),
        ({"default_consumer": "nobody"}, shown("x.test"), "nobody", None),
        (
            {"ca_certificates": ("middle",), "allow_partial_chain": True},
            shown("x.test", MIDDLE),
            "alice",
            "c2",
        ),
    ],
)
def test_names_of_a_certificate_find_a_consumer(
    conf: dict[str, Any], chain: tuple[bytes, ...], username: str, credential: str | None
) -> None:
    instance = plugin(**conf)

    for _ in range(2):
        ex = ask(instance, chain)
        assert ex.consumer is not None
        assert ex.consumer.username == username
        assert ex.credential is not None
        assert credential is None or ex.credential.id == credential


@pytest.mark.parametrize(
    ("conf", "chain", "message"),
    [
        ({}, (), NONE),
        ({}, shown("alice.test", STRANGER), FAILED),
        ({}, (b"no certificate",), FAILED),
        ({}, shown("unknown.test"), FAILED),
        ({}, shown("x.test"), FAILED),
        ({"ca_certificates": ("middle",)}, shown("alice.test", MIDDLE), FAILED),
        ({"ca_certificates": ("missing",)}, shown("alice.test"), FAILED),
    ],
)
def test_any_other_is_refused(conf: dict[str, Any], chain: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(Reject) as refusal:
        ask(plugin(**conf), chain)

    assert (refusal.value.status, refusal.value.message) == (401, message)


def test_who_shows_nothing_may_be_anonymous() -> None:
    ex = ask(plugin(anonymous="nobody"), ())

    assert ex.consumer is not None
    assert (ex.consumer.username, ex.credential) == ("nobody", None)


@pytest.mark.parametrize("by", ["CN", "DN"])
def test_without_a_consumer_the_subject_is_a_group(by: str) -> None:
    ex = ask(
        plugin(skip_consumer_lookup=True, authenticated_group_by=by), shown("u.test", common_name="Team")
    )

    assert ex.consumer is None
    assert ex.authenticated_groups is not None
    (group,) = ex.authenticated_groups
    assert group == "Team" if by == "CN" else "CN=Team" in group


def test_an_authority_that_is_taken_away_is_trusted_no_longer() -> None:
    instance, chain = plugin(), shown("alice.test")
    ask(instance, chain)
    without = plugin(replace(SNAPSHOT, ca_certificates=())).services.directory
    cast(Directory, instance.services.directory).take_over(cast(Directory, without))

    with pytest.raises(Reject):
        ask(instance, chain)


def signed(subject: str, issuer: str, key: Any, by: Any, *, ca: bool | None) -> x509.Certificate:
    """A certificate with no more in it than that it is an authority's or not."""
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
    builder = builder.public_key(key.public_key()).serial_number(7)
    start = datetime.fromtimestamp(NOW, UTC)
    builder = builder.not_valid_before(start - timedelta(1)).not_valid_after(start + timedelta(1))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(by, SHA256())


@pytest.mark.parametrize(("ca", "good"), [(True, True), (False, False), (None, False)])
def test_only_an_authority_may_stand_between(ca: bool | None, *, good: bool) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = signed("root", "root", keys[0], keys[0], ca=True)
    middle = signed("middle", "root", keys[1], keys[0], ca=ca)
    leaf = signed("alice", "middle", keys[2], keys[1], ca=None)
    pem = root.public_bytes(Encoding.PEM).decode()
    instance = plugin(replace(SNAPSHOT, ca_certificates=(CaCertificate(id="root", cert=pem),)))
    chain = tuple(certificate.public_bytes(Encoding.DER) for certificate in (leaf, middle))

    if good:
        assert ask(instance, chain).consumer is not None
    else:
        with pytest.raises(Reject):
            ask(instance, chain)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"ca_certificates": ["a"], "revocation_check_mode": "STRICT"},
        {"ca_certificates": ["a"], "send_ca_dn": True},
    ],
)
def test_what_is_not_supported_is_refused(config: dict[str, Any]) -> None:
    record = Registry().config("mtls-auth")
    assert record is not None

    assert record.check(config)[1]


def test_a_certificate_is_verified_again_after_the_cache_ttl(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, verified = shown("alice.test"), list[float]()
    now = NOW

    def clock() -> float:
        return now

    instance = plugin(clock=clock, cache_ttl=10)
    own = instance._verified

    def counted(given: tuple[bytes, ...]) -> Any:
        verified.append(now)
        return own(given)

    monkeypatch.setattr(instance, "_verified", counted)
    for now in (NOW, NOW + 9, NOW + 10, NOW + 19, NOW + 20):  # noqa: B007 - the clock tells it
        ask(instance, chain)

    assert verified == [NOW, NOW + 10, NOW + 20]
