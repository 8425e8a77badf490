"""The declarative configuration as a whole: `/config`."""

import asyncio
from typing import Any

import msgspec

from tollhouse.admin.audit import AuditTrail
from tollhouse.admin.control import ControlPlane
from tollhouse.admin.failures import told
from tollhouse.admin.http import Answer, Call, Endpoints, as_text
from tollhouse.config import refusal
from tollhouse.config.declarative import hash_of, to_config_answer
from tollhouse.config.export import to_config_text
from tollhouse.config.refusal import Refused
from tollhouse.errors import ConfigErrors
from tollhouse.model.entities import ENTITIES
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.body import FORM, MULTIPART


def config_endpoints(control: ControlPlane, audit: AuditTrail) -> Endpoints:
    """Reading and replacing the configuration of a node that has no database."""
    config = _Config(control, audit)
    return {"/config": {"GET": config.get, "POST": config.post}}


class _Config:
    def __init__(self, control: ControlPlane, audit: AuditTrail) -> None:
        self._control = control
        self._audit = audit

    def _check_mode(self) -> None:
        if not self._control.store.read_only:
            raise told(400, "this endpoint is only available when Kong is configured to not use a database")

    async def get(self, call: Call) -> Answer:
        self._check_mode()
        flavor = self._control.settings.router_flavor
        text = await asyncio.to_thread(to_config_text, self._control.snapshot, flavor, nulls=True)
        return Answer(body={"config": text})

    async def post(self, call: Call) -> Answer:
        self._check_mode()
        if call.actor.role != "admin":
            raise told(403, f"'{call.actor.name}' may not replace the whole configuration")
        if self._control.is_loading:
            message = {"message": "Currently loading previous configuration"}
            return Answer(429, message, headers={"Retry-After": "1"})
        if not call.content:
            raise told(400, "expected a declarative configuration")
        try:
            text, from_config_key = _config_text(call)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise told(400, "Cannot parse JSON body") from None
        unchanged = from_config_key and hash_of(text) == self._control.snapshot.hash
        if unchanged and _is_on(call, "check_hash"):
            return Answer(304)
        return await self._replaced(call, text)

    async def _replaced(self, call: Call, text: str) -> Answer:
        before = self._control.snapshot
        details = {"before": summary(before), "after": {"hash": hash_of(text)}}
        await self._audit.event(call.actor, "replace configuration", **details)
        try:
            snapshot = await self._control.replace(text)
        except ConfigErrors as errors:
            await self._audit.event(call.actor, "replace configuration", **details, failed=str(errors))
            if isinstance(errors, Refused):
                return Answer(400, refusal.answer(errors, flatten=_is_on(call, "flatten_errors")))
            body = {"code": 14, "name": "invalid declarative configuration", "message": str(errors)}
            return Answer(400, body)
        return Answer(201, await asyncio.to_thread(self._taken, snapshot))

    def _taken(self, snapshot: Snapshot) -> dict[str, Any]:
        shown = to_config_answer(snapshot, self._control.settings.router_flavor)
        for plugin in shown.get("plugins", {}).values():
            config = self._control.registry.config(plugin["name"])
            if config is not None:
                plugin["config"] = config.without_newer(plugin["config"])
        return shown


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """A configuration in the audit trail: its hash, and how many entities of each kind it has."""
    counts = {name: len(getattr(snapshot, name)) for name in ENTITIES}
    return {"hash": snapshot.hash, "entities": {name: count for name, count in counts.items() if count}}


def _is_on(call: Call, name: str) -> bool:
    return call.argument(name) in ("1", "true") or call.arguments.get(name) is True


def _config_text(call: Call) -> tuple[str, bool]:
    """The declarative text of a request, and whether it came under the key `config`. Raises
    `msgspec.DecodeError` for a body that says it is JSON and is not."""
    media_type = call.request.media_type
    if media_type in (FORM, MULTIPART):
        value = call.form().get("config")
        if isinstance(value, str):
            return as_text(value), True
        if media_type == MULTIPART:
            return "", True
    text = call.content.decode("utf-8", "replace")
    if media_type == "application/json":
        document = msgspec.json.decode(call.content)
        if isinstance(document, dict) and isinstance(document.get("config"), str):
            return document["config"], True
        # A document is told from another by what it says, not by how it is spaced.
        return msgspec.json.encode(document).decode(), False
    return text, False
