"""request-transformer: changes a request on its way to the upstream.

Order is Kong's: URI, method, headers, body, query; within each remove, rename, replace, add, append.
Values are templates (`$(headers.x)`); one that fails ends the exchange with 500.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import header_name
from tollhouse.pdk import Exchange, Plugin, Reject, item, setting
from tollhouse.pdk.body import FORM, MULTIPART, BodyEditor, body_editor, form_arguments
from tollhouse.pdk.lua import ExchangeNames, LuaError, Template, compiled_late, template_problem
from tollhouse.pdk.lua.sandbox import Sandbox
from tollhouse.pdk.operations import Operations, Values, appended
from tollhouse.wire.uri import encoded_arguments, escape

log = logging.getLogger("tollhouse.plugins")

_PAIR: Final = "^[^:]+:.*$"
_BODY_BYTES: Final = 64 * 1024 * 1024
#: methods whose form goes into the query, since their body means nothing
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "TRACE"})


def _named_header(entry: str) -> str | None:
    name, _, value = entry.partition(":")
    if header_name(name) is not None:
        return f"'{name}' is not a valid header"
    return _missing_lua(value)


def _named_headers(entry: str) -> str | None:
    return next((f"'{n}' is not a valid header" for n in entry.split(":", 1) if header_name(n)), None)


def _valued(entry: str) -> str | None:
    name, _, value = entry.partition(":")
    return _format_problem(value) if value else f"key '{name}' has no value"


def _missing_lua(value: str) -> str | None:
    # Like Kong, which looks at the Lua of headers and of the URI no sooner than a request comes.
    return template_problem(value, compiled_late)


def _format_problem(value: str) -> str | None:
    problem = template_problem(value)
    return problem and f"value '{value}' is not in supported format, error:{problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    body: tuple[str, ...] = setting((), required=True, doc="Names in the body.")
    headers: tuple[str, ...] = setting(
        (), required=True, items=item(validator=_named_header), doc="Names of headers."
    )
    querystring: tuple[str, ...] = setting((), required=True, doc="Names of query arguments.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renames:
    body: tuple[str, ...] = setting(
        (), required=True, items=item(validator=_valued), doc="`old:new` names in the body."
    )
    headers: tuple[str, ...] = setting(
        (), required=True, items=item(match=_PAIR, validator=_named_headers), doc="`old:new` headers."
    )
    querystring: tuple[str, ...] = setting(
        (), required=True, items=item(validator=_valued), doc="`old:new` query arguments."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    body: tuple[str, ...] = setting(
        (), required=True, items=item(validator=_valued), doc="`name:value` in the body."
    )
    headers: tuple[str, ...] = setting(
        (), required=True, items=item(match=_PAIR, validator=_named_header), doc="`name:value` headers."
    )
    querystring: tuple[str, ...] = setting(
        (), required=True, items=item(validator=_valued), doc="`name:value` query arguments."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements(Pairs):
    uri: str | None = setting(None, validator=_missing_lua, doc="The path for the upstream.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    http_method: str | None = setting(None, match="^%u+$", doc="The method for the upstream.")
    remove: Names = setting(Names, required=True, doc="What to take away.")
    rename: Renames = setting(Renames, required=True, doc="What to give another name, if it is there.")
    replace: Replacements = setting(
        Replacements, required=True, doc="What to give another value, if it is there."
    )
    add: Pairs = setting(Pairs, required=True, doc="What to add, if it is not there.")
    append: Pairs = setting(Pairs, required=True, doc="What to add in any case.")


class RequestTransformer(Plugin[Config]):
    name = "request-transformer"
    priority = 801
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf, sandbox = self.conf, Sandbox(self.services.node.runs_lua)

        def operations(part: str) -> Operations[Template]:
            lists = (getattr(operation, part) for operation in (conf.replace, conf.add, conf.append))
            return Operations.of(
                getattr(conf.remove, part),
                getattr(conf.rename, part),
                *lists,
                compiled=lambda value, _: Template(value, sandbox, compiled_late),
            )

        self._uri = Template(conf.replace.uri, sandbox, compiled_late) if conf.replace.uri else None
        self._headers = operations("headers").in_lower_case()
        operations_with_values = (self._headers.replace, self._headers.add, self._headers.append)
        self._header_templates = any(v.fixed is None for pairs in operations_with_values for _, v in pairs)
        self._body = operations("body")
        self._parts = self._body.of_parts()
        self._query = operations("querystring")
        self._form_to_query = conf.http_method in _WITHOUT_BODY
        self.request_body_limit = _BODY_BYTES if self._body or self._form_to_query else None

    def needs_body(self, ex: Exchange) -> bool:
        kind = ex.request.media_type
        return body_editor(kind) is not None if self._body else kind == FORM

    def access(self, ex: Exchange) -> None:
        names = ExchangeNames(ex, self.services.wall_clock)

        def render(template: Template) -> str:
            return template.fixed if template.fixed is not None else template.render(names)

        try:
            if self._uri is not None:
                self._set_uri(ex, render(self._uri))
            if self.conf.http_method is not None:
                self._set_method(ex, self.conf.http_method)
            if self._headers:
                if self._header_templates:
                    _ = names.headers  # as they are before any of them changes
                self._transform_headers(ex, render)
            if self._body:
                self._transform_body(ex, render)
            if self._query:
                arguments: Values = dict(names.query_params)
                self._query.apply(arguments, render)
                ex.send_upstream(query=encoded_arguments(arguments))
        except LuaError as error:
            log.error("request-transformer: a template failed: %s", error)
            raise Reject(500) from error

    def _set_uri(self, ex: Exchange, uri: str) -> None:
        path = escape(uri)
        ex.send_upstream(path=path if path.startswith("/") else f"/{path}")

    def _set_method(self, ex: Exchange, method: str) -> None:
        ex.upstream_method = method
        if ex.request.method == "HEAD":
            ex.wants_whole_response = True  # what comes for another method is held back from the client
        if not self._form_to_query or ex.request.media_type != FORM:
            return
        form = form_arguments(ex.request.content or b"")
        if form:
            arguments = ex.upstream_arguments()
            for name, value in form.items():
                for one in value if isinstance(value, list) else (value,):
                    arguments[name] = appended(arguments[name], one) if name in arguments else one
            ex.send_upstream(query=encoded_arguments(arguments))

    def _transform_headers(self, ex: Exchange, render: Callable[[Template], str]) -> None:
        headers, operations = ex.request.headers, self._headers
        for name in operations.remove:
            if name != "host":
                headers.remove(name)
        for old, new in operations.rename:
            if old in headers and old != "host":
                values = headers.get_all(old)
                headers.remove(old)
                self._set_header(ex, new, values)
        for name, value in operations.replace:
            if name.lower() == "host":
                ex.upstream_host = render(value)
            elif name.lower() in headers:
                headers.set(name, render(value))
        for name, value in operations.add:
            if name.lower() not in headers and name.lower() != "host":
                headers.add(name, render(value))
        for name, value in operations.append:
            if name.lower() != "host":
                headers.add(name, render(value))

    def _set_header(self, ex: Exchange, name: str, values: Sequence[str]) -> None:
        if name.lower() == "host":
            ex.upstream_host = values[0]
            return
        ex.request.headers.remove(name.lower())
        for value in values:
            ex.request.headers.add(name, value)

    def _transform_body(self, ex: Exchange, render: Callable[[Template], str]) -> None:
        request = ex.request
        make = body_editor(request.media_type)
        if make is None or request.content is None:
            return
        editor: BodyEditor | None = make(request)
        if editor is None:
            return  # a body that is not what its content type says goes on as it is
        had_content = bool(request.content)
        operations = self._parts if request.media_type == MULTIPART else self._body
        operations.apply(editor.values, render, only_new=not had_content)
        content: Any = editor.encoded()
        if content != request.content:
            request.replace_content(content)
