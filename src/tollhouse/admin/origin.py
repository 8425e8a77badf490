"""Who owns the entities that the Admin API tells of, named in every answer about them."""

from collections.abc import Mapping
from typing import Final

from tollhouse.admin.control import ControlPlane
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints

OWNER_HEADER: Final = "X-Tollhouse-Owner"


def owned(endpoints: Endpoints, control: ControlPlane) -> Endpoints:
    """The endpoints, their answers with the owner in a header: `database`, `file:` and its name,
    `environment`, or `config-api` for what `POST /config` brought. Refusals stay exactly Kong's."""
    return {path: _each(methods, control) for path, methods in endpoints.items()}


def _each(methods: Mapping[str, Endpoint], control: ControlPlane) -> Mapping[str, Endpoint]:
    return {method: _naming(endpoint, control) for method, endpoint in methods.items()}


def _naming(endpoint: Endpoint, control: ControlPlane) -> Endpoint:
    async def answering(call: Call) -> Answer:
        answer = await endpoint(call)
        if answer.status < 400:
            answer.headers[OWNER_HEADER] = control.owner
        return answer

    return answering
