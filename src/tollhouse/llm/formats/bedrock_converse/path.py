"""Paths of Bedrock's runtime: they name the model, percent-encoded, and what is wanted of it.

boto3 encodes the colons of an id and the slashes of an ARN, other clients leave the colons: both are read.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import quote, unquote

from tollhouse.llm.form import Told

Operation: TypeAlias = Literal[
    "converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"
]
_PATH: Final = re.compile(
    r"(?:.*/)?model/(?P<model>.+)/(?P<operation>converse(?:-stream)?|invoke(?:-with-response-stream)?|count-tokens)/?"
)
_STREAMED: Final = frozenset({"converse-stream", "invoke-with-response-stream"})


@dataclass(frozen=True, slots=True)
class Asked:
    operation: Operation
    told: Told


def read_path(path: str) -> Asked | None:
    """`None` for a path that is none of these. `path` is without a query, as sent or decoded."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    operation = cast(Operation, found["operation"])
    return Asked(operation, Told(unquote(found["model"]), stream=operation in _STREAMED))


def path_for(template: str, model: str) -> str:
    """The path to send: the model's id stands for `{model}` of the template, with nothing left in it that
    could be a part of a path."""
    return template.replace("{model}", quote(model, safe=""))
