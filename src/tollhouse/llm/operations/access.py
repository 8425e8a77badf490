"""Operations of the providers that one route leads to, each made ready when it is first asked for."""

from collections.abc import Callable
from typing import Final

from tollhouse.llm.endpoint import Unserved
from tollhouse.llm.form import Refusal
from tollhouse.llm.operations.bodies import body_from
from tollhouse.llm.operations.places import PATH_FOR_ALL, place_of
from tollhouse.llm.operations.upstream import UpstreamOperation
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import Asked
from tollhouse.llm.terms import Terms
from tollhouse.pdk.messages import Request
from tollhouse.pdk.services import Services

_NO_MODEL: Final = "you must provide a model parameter"
#: OpenAI has a default for these
_DEFAULTS: Final = {"moderations": "omni-moderation-latest"}


class Operations:
    def __init__(
        self, terms: Callable[[str, FormName, str], Terms], services: Services, plugin_id: str
    ) -> None:
        """`terms` gives those of a provider for clients of a form, with the path where it is called."""
        self._terms = terms
        self._services = services
        self._plugin_id = plugin_id
        self._known: dict[tuple[str, FormName, str, str], UpstreamOperation] = {}

    def of(self, name: str, asked: Asked) -> UpstreamOperation:
        """Raises `Refusal` where the provider does no such thing."""
        kind = Asked(asked.form, asked.operation, tail="" if asked.operation == "files" else asked.tail)
        key = (name, kind.form, kind.operation, kind.tail)
        found = self._known.get(key)
        if found is None:
            place = place_of(PROVIDERS[name], kind)
            path = PATH_FOR_ALL if place is None else place.path
            try:
                terms = self._terms(name, kind.form, path)
                found = UpstreamOperation(terms, self._services, self._plugin_id, kind)
            except Unserved as reason:
                raise Refusal(str(reason), 404) from None
            self._known[key] = found
        return found


def model_asked_for(request: Request, asked: Asked, limit_bytes: int) -> str:
    """The model that a request names. Raises `Refusal`."""
    name = asked.told.model or body_from(request, limit_bytes).model or _DEFAULTS.get(asked.operation)
    if not name:
        raise Refusal(_NO_MODEL)
    return name
