"""Who owns the entities that the Admin API tells of, named in every answer about them."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from tollhouse.admin.control import ControlPlane
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints
from tollhouse.model.entities import Kind
from tollhouse.stores.store import StoreError

log = logging.getLogger("tollhouse.admin")

OWNER_HEADER: Final = "X-Tollhouse-Owner"


def owned(endpoints: Endpoints, control: ControlPlane, kinds: Mapping[str, Kind] | None = None) -> Endpoints:
    """The endpoints, their answers with the owner in a header: `database`, `file:` and its name,
    `environment`, or `config-api` for what `POST /config` brought. A store that knows the owner of each
    entity tells that of those in the answer, `admin-api` or `file:` and its name, where `kinds` says of
    which kind they are by path. Refusals stay exactly Kong's."""
    return {
        path: {
            method: _naming(endpoint, control, (kinds or {}).get(path))
            for method, endpoint in methods.items()
        }
        for path, methods in endpoints.items()
    }


def _naming(endpoint: Endpoint, control: ControlPlane, kind: Kind | None) -> Endpoint:
    async def answering(call: Call) -> Answer:
        answer = await endpoint(call)
        if answer.status < 400:
            ids = _ids(answer.body) if kind is not None and not control.store.read_only else []
            owners = await _owners(control, kind, ids) if kind is not None and ids else []
            answer.headers[OWNER_HEADER] = ", ".join(owners) or control.owner
        return answer

    return answering


def _ids(body: Any) -> list[str]:
    rows = body.get("data", [body]) if isinstance(body, dict) else []
    return [row["id"] for row in rows if "id" in row]


async def _owners(control: ControlPlane, kind: Kind, ids: list[str]) -> list[str]:
    try:
        async with control.store.reading() as reader:
            return sorted(set((await reader.owners(kind, ids)).values()))
    except StoreError as error:  # what was asked for is done, and the answer says so
        log.warning("cannot tell who owns what was asked for: %s", error)
        return []
