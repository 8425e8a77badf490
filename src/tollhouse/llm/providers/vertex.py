"""Models on Google Cloud: Gemini, Claude and others, each under its publisher.

Data and paths only, used where settings name a project and a location; tokens are the business of
`signing.google`. https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.publishers.models
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from tollhouse.llm.provider import MODEL, Provider

#: the location without a region: requests go wherever there is room
GLOBAL: Final = "global"
#: regions of several regions, whose hosts are named otherwise
_WIDE: Final = frozenset({"us", "eu"})
#: who publishes a model, by how its name begins
_PUBLISHERS: Final = (
    ("claude", "anthropic"),
    ("mistral", "mistralai"),
    ("codestral", "mistralai"),
    ("llama", "meta"),
    ("jamba", "ai21"),
)
_OPERATIONS: Final = ("generateContent", "streamGenerateContent")
#: other models than Google's take requests as their makers know them
_RAW_OPERATIONS: Final = ("rawPredict", "streamRawPredict")
#: where they are asked, whole and streamed
RAW_PATHS: Final = (f"{MODEL}:{_RAW_OPERATIONS[0]}", f"{MODEL}:{_RAW_OPERATIONS[1]}")
#: what stands in the body of Claude's requests in place of the model
#: (https://docs.claude.com/en/api/claude-on-vertex-ai)
ANTHROPIC_VERSION: Final = "vertex-2023-10-16"


@dataclass(frozen=True, slots=True)
class Place:
    """A project and a location in Google Cloud. Without a project (with an API key, "express mode")
    paths begin with the publisher."""

    project: str
    location: str

    @property
    def host(self) -> str:
        if self.location in ("", GLOBAL):
            return "aiplatform.googleapis.com"
        if self.location in _WIDE:
            return f"aiplatform.{self.location}.rep.googleapis.com"
        return f"{self.location}-aiplatform.googleapis.com"


def publisher_of(model: str) -> str:
    name = _name(model).lower()
    return next((publisher for start, publisher in _PUBLISHERS if name.startswith(start)), "google")


def path_of(place: Place, publisher: str, model: str, operation: str, version: str = "v1") -> str:
    """The path of a model's operation: `generateContent`, `rawPredict`, `predict`, `countTokens`."""
    within = ""
    if place.project:
        # Older projects have names with a domain: `example.com:project`.
        project, location = quote(place.project, safe=":"), quote(place.location or GLOBAL, safe="")
        within = f"projects/{project}/locations/{location}/"
    name = quote(_name(model), safe="@")
    return f"/{version}/{within}publishers/{publisher}/models/{name}:{operation}"


def chat_path(place: Place, model: str, *, stream: bool = False) -> str:
    """Where a model answers. Streams of Google's own models are server-sent events only with the query
    `alt=sse`."""
    publisher = publisher_of(model)
    operations = _OPERATIONS if publisher == "google" else _RAW_OPERATIONS
    return path_of(place, publisher, model, operations[stream])


def is_anthropic(model: str) -> bool:
    return publisher_of(model) == "anthropic"


def speaking_anthropic(provider: Provider) -> Provider:
    """Google, as it serves Claude: in the form of its maker."""
    plain, streamed = RAW_PATHS
    return replace(provider, form="anthropic_messages", chat_path=plain, stream_path=streamed)


def _name(model: str) -> str:
    """The model without its publisher and collection."""
    return model.rpartition("/")[2]


def anthropic_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request of Anthropic's as Vertex wants it: the model stands in the path."""
    rest = {name: value for name, value in body.items() if name != "model"}
    return {"anthropic_version": ANTHROPIC_VERSION, **rest}
