"""What a configuration of the plugin `acme` asks for: of which authority, as whom, kept where."""

import asyncio
import json
import os
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tollhouse.config.settings import Settings
from tollhouse.errors import PeerError
from tollhouse.model.schema import build
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.acme import Domains
from tollhouse.pdk.tasks import Tasks
from tollhouse.plugins.acme import Config
from tollhouse.stores.redis_servers import RedisServers
from tollhouse.stores.values import FileValues, Values
from tollhouse.stores.vaults import Vaults
from tollhouse.supervisor.acme.certificates import Pair
from tollhouse.telemetry.metrics import Metrics

_ACCOUNT: Final = "kong_acme:account:"
#: how long a new account is left to the other nodes to be found before one of them is asked about it
_SPREAD_SECONDS: Final = 3.0


class Order:
    """One configuration. Two are equal that ask for the same."""

    def __init__(
        self, config: Config, storage: Values, key: str | None, trusted: tuple[str, ...], digest: Any
    ) -> None:
        self.config = config
        self.storage = storage
        self.domains = Domains.of(msgspec.to_builtins(config))
        self._given_key = key
        self._trusted = trusted
        self._digest = digest
        uri = urlsplit(config.api_uri)
        self._directory = config.api_uri if uri.path.strip("/") else f"{config.api_uri.rstrip('/')}/directory"
        email = b64encode(config.account_email.encode()).decode()
        self._account = f"{_ACCOUNT}{config.api_uri}:{email}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and other._digest == self._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    async def _key(self) -> str | None:
        """The account's key, PEM."""
        if self._given_key is not None:
            return self._given_key
        data = await self.storage.get(self._account)
        found = msgspec.json.decode(data, type=dict[str, str]).get("key") if data is not None else None
        return found or None

    async def thumbprint(self) -> str | None:
        """What answers challenges; None as long as there is no account. Raises `ValuesError`."""
        key = await self._key()
        if key is None:
            return None
        from tollhouse.supervisor.acme import issue

        return await asyncio.to_thread(issue.thumbprint, key)

    async def have_account(self) -> None:
        """Makes the account's key unless there is one. Raises `ValuesError`."""
        if await self._key() is not None:
            return
        from tollhouse.supervisor.acme import issue

        key = await asyncio.to_thread(issue.account_key)
        await self.storage.put(self._account, msgspec.json.encode({"key": key}))
        if self.config.storage != "shm":
            await asyncio.sleep(_SPREAD_SECONDS)

    async def issue(self, host: str) -> Pair:
        """A certificate of the authority. Raises `PeerError`, `ValuesError`."""
        from tollhouse.supervisor.acme import issue

        conf, account = self.config, await self._key()
        if account is None:
            raise PeerError("the account's key has gone from the storage")
        authority = issue.Authority(
            directory=self._directory,
            trusted=self._trusted,
            email=conf.account_email,
            account_key=account,
            terms_agreed=conf.tos_accepted,
            eab_kid=conf.eab_kid,
            eab_hmac_key=conf.eab_hmac_key,
        )

        def ask() -> issue.Issued:
            key = issue.certificate_key(conf.cert_type, int(conf.rsa_key_size))
            return issue.issue(authority, host, key, conf.preferred_chain)

        issued = await asyncio.to_thread(ask)
        return Pair(issued.key, issued.certificate)


class Orders:
    """Reads them from snapshots; made once for each configuration."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        settings: Settings,
        tasks: Tasks,
        database_values: Callable[[], Values] | None,
    ) -> None:
        self._snapshot = snapshot
        self._settings = settings
        self._database_values = database_values
        default = (settings.redis_host, settings.redis_port)
        self._redis = RedisServers(default, Metrics(), tasks, time.time, settings.lua_ssl_trusted_certificate)
        self._vaults = Vaults(
            os.environ, env_prefix=settings.vault_env_prefix, file_prefix=settings.vault_file_prefix
        )
        self._seen: Snapshot | None = None
        self._current: Order | None = None

    def current(self) -> Order | None:
        """What the configuration in force asks for. Kong too heeds one configuration of the plugin only."""
        snapshot = self._snapshot()
        if snapshot is not self._seen:
            self._seen = snapshot
            made = self._made(snapshot)
            if made != self._current:
                self._current = made
        return self._current

    def _made(self, snapshot: Snapshot) -> Order | None:
        instance = next((each for each in snapshot.plugins if each.name == "acme" and each.enabled), None)
        if instance is None:
            return None
        resolved = self._vaults.knowing(snapshot.vaults).resolved(instance.config)
        config = build(Config, resolved)
        key = self._account_key(config, snapshot)
        digest = json.dumps([resolved, key], sort_keys=True)
        return Order(config, self._storage(config), key, self._settings.lua_ssl_trusted_certificate, digest)

    def _storage(self, config: Config) -> Values:
        if config.storage == "redis":
            block = config.storage_config.redis
            options = block.extra_options
            return self._redis.values(block, options.namespace, int(options.scan_count))
        if config.storage == "kong" and self._database_values is not None:
            return self._database_values()
        return FileValues(self._settings.prefix / "acme")

    def _account_key(self, config: Config, snapshot: Snapshot) -> str | None:
        wanted = config.account_key
        if wanted is None:
            return None
        sets = {each.id for each in snapshot.key_sets if each.name == wanted.key_set}
        resolved = self._vaults.knowing(snapshot.vaults).resolved
        for key in snapshot.keys:
            in_set = key.set is not None and key.set.id in sets if wanted.key_set else key.set is None
            if key.kid != wanted.key_id or not in_set:
                continue
            if key.pem is not None and key.pem.private_key is not None:
                return str(resolved(key.pem.private_key))
            if key.jwk is not None:
                from tollhouse.supervisor.acme import issue

                return issue.pem_of_jwk(str(resolved(key.jwk)))
        raise PeerError(f"there is no private key {wanted.key_id!r} for the account")
