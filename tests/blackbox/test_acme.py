"""acme: certificates from Pebble, Let's Encrypt's own test authority, over the real protocol."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.support.gateway import Gateway, Reply
from tests.support.pebble import HMAC_KEY, KEY_ID, Pebble
from tests.support.postgres import Postgres
from tests.support.valkey import Valkey

from tollhouse.stores.postgres import migrations

SECONDS = 60
LISTEN = "127.0.0.1:0, 127.0.0.1:0 ssl"


@pytest.fixture
async def pebble() -> AsyncIterator[Pebble]:
    authority = Pebble()
    yield authority
    authority.remove()


def config(pebble: Pebble, **fields: Any) -> str:
    settings = {
        "account_email": "ops@shop.test",
        "api_uri": pebble.directory,
        "tos_accepted": True,
        "rsa_key_size": 2048,
        "domains": ["a.shop.test", "*.wild.test", "right.*"],
        **fields,
    }
    return json.dumps({"_format_version": "3.0", "plugins": [{"name": "acme", "config": settings}]})


def environment(pebble: Pebble, **more: str) -> dict[str, str]:
    return {
        "KONG_PROXY_LISTEN": LISTEN,
        "KONG_LUA_SSL_TRUSTED_CERTIFICATE": pebble.trusted,
        **more,
    }


async def started(pebble: Pebble, workers: int = 1, **fields: Any) -> Gateway:
    return await Gateway.start(config(pebble, **fields), workers=workers, environment=environment(pebble))


def https(node: Gateway) -> int:
    line = next(line for line in node.output if "https://" in line)
    return int(line.split("https://")[1].split()[0].rpartition(":")[2])


async def shown(node: Gateway, name: str) -> x509.Certificate:
    """What a client gets that asks for a name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", https(node), ssl=context, server_hostname=name)
    try:
        data = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(data)
    finally:
        writer.close()


def names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in found.value]


async def until_shown(node: Gateway, name: str, times: int = 6) -> x509.Certificate:
    """Waits until every worker shows a certificate for that name."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = [await shown(node, name) for _ in range(times)]
            if all(names(each) == [name] for each in found):
                return found[0]
            await asyncio.sleep(0.05)


async def post(node: Gateway, method: str = "POST", **fields: str) -> Reply:
    headers = {"Content-Type": "application/json"}
    return await node.admin_request(method, "/acme", headers, json.dumps(fields).encode())


async def test_names_that_clients_ask_for_get_a_certificate_that_the_authority_vouches_for(
    pebble: Pebble, tmp_path: Path
) -> None:
    node = await started(pebble, workers=2)
    try:
        await pebble.start(node.proxy[1])
        assert names(await shown(node, "a.shop.test")) == ["localhost"], "the listener's own at first"
        certificate = await until_shown(node, "a.shop.test")
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 2048

        root = tmp_path / "root.pem"
        root.write_text(await pebble.root())
        trusting = ssl.create_default_context(cafile=str(root))
        _, writer = await asyncio.open_connection(
            "127.0.0.1", https(node), ssl=trusting, server_hostname="a.shop.test"
        )
        writer.close()

        for name in ("b.wild.test", "right.org"):
            await shown(node, name)
            await until_shown(node, name)
        assert names(await shown(node, "other.test")) == ["localhost"], "nobody asked for that"

        listed = json.loads((await node.admin_request("GET", "/acme/certificates")).body)["data"]
        assert [each["host"] for each in listed] == ["a.shop.test", "b.wild.test", "right.org"]
        one = json.loads((await node.admin_request("GET", "/acme/certificates/a.shop.test")).body)["data"]
        assert one == listed[0]
        assert one["valid"] is True
        assert one["pubkey_type"] == "rsaEncryption"
        assert one["serial_number"].replace(":", "") == f"{certificate.serial_number:X}".zfill(
            len(one["serial_number"].replace(":", ""))
        )
        assert one["issuer_cn"].startswith("Pebble Intermediate CA")
        missing = await node.admin_request("GET", "/acme/certificates/nobody.test")
        assert missing.status == 404
        invalid = await node.admin_request("GET", "/acme/certificates?invalid_only=true")
        assert json.loads(invalid.body) == {"data": []}
        assert "other.test" not in "".join(node.errors)
    finally:
        await node.stop()


async def test_challenges_are_answered_for_these_names_alone_and_over_http_alone(pebble: Pebble) -> None:
    node = await started(pebble, enable_ipv4_common_name=False)
    path = "/.well-known/acme-challenge/"
    try:
        await pebble.start(node.proxy[1])
        probe = await node.request("GET", f"{path}x", {"Host": "a.shop.test"})
        assert (probe.status, probe.body) == (404, b"Not found\n")
        early = await node.request("GET", f"{path}token", {"Host": "a.shop.test"})
        assert (early.status, early.body) == (404, b"Not found\n"), "there is no account yet"
        await shown(node, "a.shop.test")
        await until_shown(node, "a.shop.test", 1)
        answer = await node.request("GET", f"{path}token-1_2", {"Host": "A.shop.test:80"})
        assert answer.status == 200
        token, dot, thumbprint = answer.body.decode().partition(".")
        assert (token, dot, len(thumbprint)) == ("token-1_2", ".", 43)
        for host in ("other.test", "127.0.0.1"):
            other = await node.request("GET", f"{path}token", {"Host": host})
            assert b"no Route matched" in other.body
        odd = await node.request("GET", f"{path}%3Cscript%3E", {"Host": "a.shop.test"})
        assert odd.status == 404
    finally:
        await node.stop()


async def test_an_operator_asks_for_certificates_and_renews_them(pebble: Pebble) -> None:
    node = await started(
        pebble, cert_type="ecc", renew_threshold_days=36_500, allow_any_domain=True, domains=None
    )
    try:
        await pebble.start(node.proxy[1])
        made = await post(node, host="New.test")
        assert (made.status, made.json()) == (201, {"message": "certificate for host new.test is created"})
        first = await until_shown(node, "new.test")
        assert isinstance(first.public_key(), ec.EllipticCurvePublicKey)
        address = await post(node, host="127.0.0.1")
        assert address.status == 201
        told = json.loads((await node.admin_request("GET", "/acme/certificates/127.0.0.1")).body)["data"]
        assert told["pubkey_type"] == "id-ecPublicKey"

        renewed = await post(node, "PATCH")
        assert (renewed.status, renewed.json()) == (
            202,
            {"message": "Renewal process started successfully"},
        )
        async with asyncio.timeout(SECONDS):
            while (await shown(node, "new.test")).serial_number == first.serial_number:
                await asyncio.sleep(0.05)

        for fields, message in (
            ({}, "host must be provided and containing a single domain"),
            ({"host": "new.test:80"}, "port is not allowed in host"),
        ):
            refused = await post(node, **fields)
            assert (refused.status, refused.json()) == (400, {"message": message})
    finally:
        await node.stop()


async def test_what_a_node_has_got_survives_its_restart_and_is_renewed_when_due(pebble: Pebble) -> None:
    node = await started(pebble)
    text = config(pebble, renew_threshold_days=36_500)
    try:
        await pebble.start(node.proxy[1])
        await shown(node, "a.shop.test")
        before = await until_shown(node, "a.shop.test")
        kept = list((node.folder / "acme").iterdir())
        assert kept
        assert all(file.stat().st_mode & 0o077 == 0 for file in kept)
        listen = f"127.0.0.1:{node.proxy[1]}, 127.0.0.1:0 ssl"
        saved = {file.name: file.read_bytes() for file in kept}
    finally:
        await node.stop()

    async def again(declared: str) -> Gateway:
        file = node.folder / "again.yml"
        node.folder.joinpath("acme").mkdir(parents=True, exist_ok=True)
        for name, data in saved.items():
            (node.folder / "acme" / name).write_bytes(data)
        file.write_text(declared)
        settings = environment(pebble, KONG_PREFIX=str(node.folder), KONG_PROXY_LISTEN=listen)
        return await Gateway.start(None, arguments=("-c", str(file)), environment=settings)

    second = await again(config(pebble))
    try:
        assert (await until_shown(second, "a.shop.test")).serial_number == before.serial_number
    finally:
        await second.stop()
    third = await again(text)
    try:
        async with asyncio.timeout(SECONDS):
            while (await shown(third, "a.shop.test")).serial_number == before.serial_number:
                await asyncio.sleep(0.05)
        assert names(await shown(third, "a.shop.test")) == ["a.shop.test"]
    finally:
        await third.stop()


async def test_a_name_that_fails_is_left_alone_for_a_while(pebble: Pebble) -> None:
    node = await started(pebble, fail_backoff_minutes=60)
    try:
        await pebble.start(1)  # where nobody answers challenges
        failed = await post(node, host="a.shop.test")
        assert failed.status == 500
        message = json.loads(failed.body)["message"]
        assert message.startswith(
            "failed to update certificate: could not create certificate for host: a.shop.test err: "
        )
        assert "connection refused" in message
        again = json.loads((await post(node, host="a.shop.test")).body)["message"]
        assert "please try again in " in again
        assert "config.fail_backoff_minutes" in again
        flow = {"host": "a.shop.test", "test_http_challenge_flow": "true"}
        probe = json.loads((await post(node, **flow)).body)["message"]
        assert probe.startswith("problem found running sanity check for a.shop.test: ")
        other = json.loads((await post(node, host="other.test", test_http_challenge_flow="true")).body)
        assert other == {
            "message": "problem found running sanity check for other.test: "
            "host is not included in plugin config.domains"
        }
    finally:
        await node.stop()


async def test_an_account_that_the_authority_has_to_know(pebble: Pebble) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    declared = json.loads(
        config(
            pebble,
            eab_kid=KEY_ID,
            eab_hmac_key="{vault://env/acme-hmac}",
            account_key={"key_id": "account", "key_set": "ours"},
        )
    )
    declared["key_sets"] = [{"name": "ours", "keys": [{"kid": "account", "pem": {"private_key": pem}}]}]
    settings = environment(pebble, ACME_HMAC=HMAC_KEY)
    node = await Gateway.start(json.dumps(declared), environment=settings)
    try:
        await pebble.start(node.proxy[1], binding=True)
        made = await post(node, host="a.shop.test")
        assert made.status == 201, made.body
        kept = [file.name for file in (node.folder / "acme").iterdir()]
        assert not [name for name in kept if "account" in name], "its key is the configuration's"
    finally:
        await node.stop()


async def test_the_preferred_chain_is_taken(pebble: Pebble) -> None:
    node = await started(pebble)
    try:
        await pebble.start(node.proxy[1])
        for number in (0, 1):
            root = x509.load_pem_x509_certificate((await pebble.root(number)).encode())
            wanted = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            assert (await node.configure(config(pebble, preferred_chain=wanted))).status == 201
            made = await post(node, host="a.shop.test")
            assert made.status == 201, made.body
            (file,) = (node.folder / "acme").glob("*cert_key*")
            chain = x509.load_pem_x509_certificates(json.loads(file.read_bytes())["cert"].encode())
            assert chain[-1].issuer == root.subject
    finally:
        await node.stop()


async def test_nodes_share_account_and_certificates_in_redis(pebble: Pebble) -> None:
    valkey = await Valkey.started()
    redis = {
        "host": "127.0.0.1",
        "port": valkey.port,
        "extra_options": {"namespace": "ours:", "scan_count": 2},
    }
    fields: dict[str, Any] = {
        "storage": "redis",
        "storage_config": {"redis": redis, "shm": {"shm_name": "kong"}},
    }
    one, two = await asyncio.gather(started(pebble, **fields), started(pebble, **fields))
    try:
        await pebble.start(one.proxy[1])  # whichever asks, this one is asked
        await shown(two, "a.shop.test")
        certificate = await until_shown(two, "a.shop.test", 1)
        await shown(one, "a.shop.test")
        found = await until_shown(one, "a.shop.test", 1)
        assert found.serial_number == certificate.serial_number
        keys = sorted(key.decode() for key in await valkey.say("KEYS", "*"))
        assert len(keys) == 2
        assert keys[0].startswith(f"ours:kong_acme:account:{pebble.directory}:")
        assert keys[1] == "ours:kong_acme:cert_key:a.shop.test"
        pair = json.loads(await valkey.say("GET", keys[1]))
        assert set(pair) == {"key", "cert"}
    finally:
        await asyncio.gather(one.stop(), two.stop())
        valkey.stop()


async def test_storage_kong_is_the_database(pebble: Pebble) -> None:
    postgres = Postgres()
    await postgres.start()
    try:
        database = await postgres.new_database()
        await migrations.bootstrap(postgres.server(database))
        settings: Mapping[str, str] = {**environment(pebble), **postgres.environment(database)}
        one, two = await asyncio.gather(*(Gateway.start(None, environment=settings) for _ in range(2)))
        try:
            await pebble.start(one.proxy[1])
            plugin = json.loads(config(pebble, storage="kong", storage_config={"kong": {}}))["plugins"][0]
            headers = {"Content-Type": "application/json"}
            made = await one.admin_request("POST", "/plugins", headers, json.dumps(plugin).encode())
            assert made.status == 201, made.body
            await shown(one, "a.shop.test")
            async with asyncio.timeout(SECONDS):
                while names(found := await shown(two, "a.shop.test")) != ["a.shop.test"]:
                    await asyncio.sleep(0.05)
            assert (await until_shown(one, "a.shop.test", 1)).serial_number == found.serial_number
        finally:
            await asyncio.gather(one.stop(), two.stop())
    finally:
        postgres.stop()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"storage": "consul"}, "'consul' is not supported: use redis, kong (with a database) or shm"),
        ({"storage": "vault"}, "'vault' is not supported: use redis, kong (with a database) or shm"),
        ({"storage": "kong"}, '"kong" storage can\'t be used with dbless mode'),
        ({"storage": "redis"}, "required field missing"),
        (
            {"api_uri": "https://acme-v02.api.letsencrypt.org", "tos_accepted": False},
            "terms of service must be accepted, see https://letsencrypt.org/repository/",
        ),
        ({"domains": ["*.a.*"]}, "invalid wildcard: must have at most one wildcard"),
        ({"domains": ["a.*.b"]}, "invalid wildcard: must be placed at leftmost or rightmost label"),
        ({"account_email": ""}, "length must be at least 1"),
        ({"rsa_key_size": 1024}, "expected one of: 2048, 3072, 4096"),
        ({"storage_config": {"shm": {"shm_name": "own"}}}, "missing shared dict 'own'"),
        (
            {"storage_config": {"consul": {"host": "c", "https": False}}},
            "not supported: host is for a storage",
        ),
        (
            {"storage_config": {"redis": {"extra_options": {"namespace": "kong_acme:cert_key:"}}}},
            "namespace can't be prefixed with reserved word: kong_acme:cert_key:",
        ),
    ],
)
async def test_what_is_refused(plain: Gateway, fields: dict[str, Any], message: str) -> None:
    refused = await plain.configure(config(Pebble(), **fields))
    assert refused.status == 400
    assert message in refused.body.decode().replace("\\", "")


@pytest.fixture(scope="module")
async def plain() -> AsyncIterator[Gateway]:
    gateway = await Gateway.start('_format_version: "3.0"\n')
    yield gateway
    await gateway.stop()


async def test_an_export_of_kong_loads_and_without_the_plugin_there_is_nothing(plain: Gateway) -> None:
    unused = {
        "kong": {},
        "consul": {"https": False, "host": None, "port": None, "kv_path": None},
        "vault": {"https": False, "tls_verify": True, "auth_method": "token", "token": None},
        "redis": {"auth": "secret", "ssl_server_name": "redis.test", "namespace": "n:", "scan_count": 5},
    }
    assert (await post(plain, host="a.test")).status == 404
    loaded = await plain.configure(config(Pebble(), storage_config=unused))
    assert loaded.status == 201, loaded.body
    shown_plugin = json.loads((await plain.admin_request("GET", "/plugins")).body)["data"][0]["config"]
    redis = shown_plugin["storage_config"]["redis"]
    assert (redis["password"], redis["server_name"]) == ("secret", "redis.test")
    assert redis["extra_options"] == {"namespace": "n:", "scan_count": 5}
