"""request-validator: refuses requests whose body or parameters do not fit a schema.

A body is looked at only if its content type is one of those allowed. Parameters come as text and are read as
their schema's type says; lists by the style that OpenAPI gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from tollhouse.model.checks import Custom
from tollhouse.pdk import Exchange, Plugin, Reject, setting
from tollhouse.pdk.parameters import Parameter as Reading
from tollhouse.pdk.schemas import Judge, SchemaRefused, compiled

Version = Literal["draft201909", "draft202012", "draft4", "draft6", "draft7", "kong"]
Style = Literal["deepObject", "form", "label", "matrix", "pipeDelimited", "simple", "spaceDelimited"]
_BODY_BYTES: Final = 8 * 1024 * 1024
_BAD_BODY: Final = "request body doesn't conform to schema"
_BAD_TYPE: Final = "specified Content-Type is not allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    place: Literal["header", "path", "query"] = setting(required=True, name="in", doc="Where it stands.")
    name: str = setting(required=True, doc="Its name.")
    required: bool = setting(required=True, doc="Whether it has to be there.")
    style: Style | None = setting(None, doc="How lists and objects are written, as in OpenAPI.")
    explode: bool | None = setting(None, doc="Whether each member stands for itself, as in OpenAPI.")
    schema: str | None = setting(None, doc="JSON Schema of its value.")


def _problem(config: Mapping[str, Any]) -> str | None:
    parameters, body = config["parameter_schema"] or (), config["body_schema"]
    if not parameters and body is None:
        return "at least one of body_schema and parameter_schema has to be given"
    try:
        if body is not None:
            compiled(body, config["version"])
        for parameter in parameters:
            if parameter["schema"] is not None:
                compiled(parameter["schema"], _version(config["version"]))
    except SchemaRefused as refused:
        return str(refused)
    return None


def _version(version: str) -> str:
    """Schemas of parameters are JSON Schema, also where the body's is of Kong's kind."""
    return "draft4" if version == "kong" else version


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    body_schema: str | None = setting(None, doc="Schema of the body, as JSON.")
    allowed_content_types: tuple[str, ...] | None = setting(
        ("application/json",), as_set=True, doc="Content types of bodies; `*` stands for any part."
    )
    content_type_parameter_validation: bool = setting(
        True, required=True, doc="Compare the parameters of content types, too."
    )
    version: Version = setting("kong", required=True, doc="The kind of schema.")
    parameter_schema: tuple[Parameter, ...] | None = setting(None, doc="Schemas of parameters.")
    verbose_response: bool = setting(False, required=True, doc="Tell clients what does not fit.")
    array_length_compat: bool = setting(
        True, required=True, doc="Take an empty object for an empty list, as Lua does."
    )

    CHECKS = (Custom(_problem),)


class RequestValidator(Plugin[Config]):
    name = "request-validator"
    priority = 999
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        self._body: Judge | None = None
        if conf.body_schema is not None:
            self._body = compiled(conf.body_schema, conf.version)
            self.request_body_limit = _BODY_BYTES
        self._parameters = [
            (
                Reading(entry.place, entry.name, entry.required, entry.style, entry.explode, entry.schema),
                compiled(entry.schema, _version(conf.version)) if entry.schema else None,
            )
            for entry in conf.parameter_schema or ()
        ]
        self._types = tuple(map(self._media_type, conf.allowed_content_types or ()))

    def access(self, ex: Exchange) -> None:
        for parameter, judge in self._parameters:
            self._check_parameter(ex, parameter, judge)
        if self._body is not None:
            self._check_body(ex, self._body)

    def _check_parameter(self, ex: Exchange, parameter: Reading, judge: Judge | None) -> None:
        value = parameter.read(ex)
        label = f"{parameter.place} '{parameter.name}' validation failed"
        if value is None:
            if parameter.required:
                raise self._refusal(label, ["required parameter value not found"])
        elif judge is not None and (wrong := judge(value)):
            raise self._refusal(label, wrong)

    def _check_body(self, ex: Exchange, judge: Judge) -> None:
        found = self._media_type(ex.request.headers.values.get("content-type", ""))
        if not any(_includes(allowed, found) for allowed in self._types):
            raise Reject(400, body={"message": _BAD_TYPE})
        if not found[0].endswith("json"):
            return  # a body of another kind is allowed by its type alone
        if ex.request.content is None:
            raise Reject(413, "Request size limit exceeded")
        try:
            body = msgspec.json.decode(ex.request.content)
        except msgspec.DecodeError as error:
            raise self._refusal(_BAD_BODY, [str(error)]) from None
        wrong = judge(body)
        if wrong and not (self.conf.array_length_compat and body == {} and not judge([])):
            raise self._refusal(_BAD_BODY, wrong)

    def _refusal(self, message: str, details: list[Any]) -> Reject:
        body: dict[str, Any] = {"message": message}
        if self.conf.verbose_response:
            body["data"] = details
        return Reject(400, body=body)

    def _media_type(self, text: str) -> tuple[str, frozenset[str]]:
        media, *parameters = text.lower().split(";")
        told = parameters if self.conf.content_type_parameter_validation else ()
        return media.strip(), frozenset(part.strip() for part in told if part.strip())


def _includes(allowed: tuple[str, frozenset[str]], found: tuple[str, frozenset[str]]) -> bool:
    if allowed[1] != found[1] and "*" not in allowed[0]:
        return False
    pairs = zip(allowed[0].split("/"), found[0].split("/"), strict=False)
    return bool(found[0]) and all(want in ("*", have) for want, have in pairs)
