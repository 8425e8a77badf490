"""Values for every field of every kind of entity, and entities made of them."""

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from tollhouse.model.entities import ENTITIES

ID: Final = "00000009-0000-4000-8000-000000000000"
PARENT: Final = "00000001-0000-4000-8000-000000000000"


def pem(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), "ascii")


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form), "ascii")


def certificate(key: Any) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    signed = built.add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256())
    return str(signed.public_bytes(serialization.Encoding.PEM), "ascii")


EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
REFERENCE: Final = "{vault://env/a-secret}"
JWK: Final = json.dumps({"kty": "oct", "k": "c2VjcmV0", "kid": "k1"})
TAGS: Final = [["a"], ["b c", "é"]]
PROTOCOLS: Final = [["http"], ["https", "http"], ["grpc"], ["tls"], ["tls_passthrough"], ["tcp", "udp"]]
#: an entity of every kind that others may point to
PARENTS: Final[dict[str, list[dict[str, Any]]]] = {
    "services": [{"id": PARENT, "name": "parent", "host": "h"}],
    "routes": [{"id": PARENT, "name": "parent", "paths": ["/parent"]}],
    "consumers": [{"id": PARENT, "username": "parent"}],
    "consumer_groups": [{"id": PARENT, "name": "parent"}],
    "upstreams": [{"id": PARENT, "name": "parent.test"}],
    "key_sets": [{"id": PARENT, "name": "parent"}],
    "certificates": [{"id": PARENT, "cert": certificate(EC), "key": pem(EC)}],
    "ca_certificates": [{"id": PARENT, "cert": certificate(RSA)}],
}
MADE_UP: Final = frozenset({"id", "created_at", "updated_at"})
WORDS: Final = ["x", "Y-1", "é"]
#: values for every field of every kind
FIELDS: Final[Mapping[str, Mapping[str, list[Any]]]] = {
    "services": {
        "name": WORDS, "retries": [0, 7], "protocol": ["http", "https", "tcp", "tls", "grpc"],
        "host": ["a.test", "10.0.0.1"], "port": [1, 65535], "path": ["/", "/a/b"],
        "connect_timeout": [1], "write_timeout": [2], "read_timeout": [3], "tags": TAGS,
        "client_certificate": [{"id": PARENT}], "tls_verify": [True, False], "tls_verify_depth": [0, 3],
        "ca_certificates": [[PARENT]], "enabled": [False],
    },
    "routes": {
        "name": WORDS, "protocols": PROTOCOLS, "https_redirect_status_code": [301, 308],
        "strip_path": [False], "preserve_host": [True], "request_buffering": [False],
        "response_buffering": [False], "tags": TAGS, "service": [{"id": PARENT}], "snis": [["a.test"]],
        "sources": [[{"ip": "10.0.0.0/8", "port": None}], [{"ip": "10.0.0.1", "port": 5}]],
        "destinations": [[{"ip": None, "port": 7}]], "methods": [["GET", "POST"]],
        "hosts": [["a.test", "*.b.test"]], "paths": [["/p"], ["~/q\\d+$", "/r"]],
        "headers": [{"x-a": ["1", "2"]}], "regex_priority": [3, -1], "path_handling": ["v1"],
        "expression": ["http.path == \"/e\""], "priority": [5],
    },
    "consumers": {"username": WORDS, "custom_id": WORDS, "tags": TAGS},
    "consumer_groups": {"name": WORDS, "tags": TAGS},
    "consumer_group_consumers": {"consumer": [{"id": PARENT}], "consumer_group": [{"id": PARENT}]},
    "upstreams": {
        "name": ["u.test"], "slow_start": [7.5],
        "algorithm": ["round-robin", "least-connections", "latency", "consistent-hashing"],
        "hash_on": ["none", "header", "cookie", "ip"], "hash_fallback": ["none", "query_arg"],
        "hash_on_header": ["x-a"], "hash_fallback_header": ["x-b"], "hash_on_cookie": ["c"],
        "hash_on_cookie_path": ["/c"], "hash_on_query_arg": ["q"], "hash_fallback_query_arg": ["r"],
        "hash_on_uri_capture": ["c"], "hash_fallback_uri_capture": ["d"], "slots": [10, 99],
        "healthchecks": [], "tags": TAGS, "host_header": ["h.test:80"],
        "client_certificate": [{"id": PARENT}], "use_srv_name": [True],
    },
    "targets": {
        "upstream": [{"id": PARENT}], "target": ["a.test:80", "b.test:5"], "weight": [0, 9], "tags": TAGS,
    },
    "certificates": {
        "cert": [certificate(RSA), REFERENCE], "key": [pem(RSA), REFERENCE],
        "cert_alt": [certificate(EC), REFERENCE], "key_alt": [pem(EC), REFERENCE], "tags": TAGS,
    },
    "snis": {"name": ["a.test", "*.b.test"], "tags": TAGS, "certificate": [{"id": PARENT}]},
    "ca_certificates": {"cert": [certificate(EC)], "cert_digest": [], "tags": TAGS},
    "vaults": {
        "prefix": ["my-env", "v2"], "name": ["env", "file"], "description": WORDS,
        "config": [{"prefix": "/run/x"}, {"prefix": "X_"}, {"prefix": None}], "tags": TAGS,
    },
    "key_sets": {"name": WORDS, "tags": TAGS},
    "keys": {
        "set": [{"id": PARENT}], "name": WORDS, "kid": ["k1"], "jwk": [JWK, REFERENCE],
        "pem": [
            {"private_key": pem(EC), "public_key": public_pem(EC)},
            {"private_key": None, "public_key": public_pem(RSA)},
            {"private_key": REFERENCE, "public_key": None},
        ],
        "tags": TAGS,
    },
    "keyauth_credentials": {"consumer": [{"id": PARENT}], "key": WORDS, "tags": TAGS, "ttl": [5, 600]},
    "basicauth_credentials": {
        "consumer": [{"id": PARENT}], "username": WORDS, "password": WORDS, "tags": TAGS,
    },
    "hmacauth_credentials": {
        "consumer": [{"id": PARENT}], "username": WORDS, "secret": WORDS, "tags": TAGS,
    },
    "jwt_secrets": {
        "consumer": [{"id": PARENT}], "key": WORDS, "secret": WORDS, "rsa_public_key": [public_pem(RSA)],
        "algorithm": ["HS256", "ES256", "RS256", "EdDSA"], "tags": TAGS,
    },
    "mtls_auth_credentials": {
        "consumer": [{"id": PARENT}], "subject_name": WORDS, "ca_certificate": [{"id": PARENT}], "tags": TAGS,
    },
    "acls": {"consumer": [{"id": PARENT}], "group": WORDS, "tags": TAGS},
    "plugins": {
        "name": ["rate-limiting"], "instance_name": WORDS, "route": [{"id": PARENT}],
        "service": [{"id": PARENT}], "consumer": [{"id": PARENT}], "consumer_group": [{"id": PARENT}],
        "config": [{"minute": 5}], "protocols": [["http"], ["grpc", "https"]], "enabled": [False],
        "tags": TAGS,
    },
}  # fmt: skip


@st.composite
def entities(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    fields = {field: values for field, values in FIELDS[name].items() if values}
    schema = ENTITIES[name].schema
    needed = {field for field in fields if schema.fields[field].required}
    chosen = needed | draw(st.sets(st.sampled_from(sorted(fields))))
    return name, {field: draw(st.sampled_from(fields[field])) for field in sorted(chosen)}
