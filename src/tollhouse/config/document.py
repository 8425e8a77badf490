"""A declarative file as a document: parsed, its top level checked, old formats brought up to date."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.config import yaml_lines
from tollhouse.config.interpolate import Interpolation
from tollhouse.config.refusal import TOP_SPELLINGS, Problems, Refused, dotted
from tollhouse.errors import ConfigError
from tollhouse.model.entities import ENTITIES
from tollhouse.model.validators import normalised_path

VERSIONS: Final = ("1.1", "2.1", "3.0")
#: keys about the file itself, and about an entity, that hold no configuration
ANNOTATIONS: Final = frozenset({"_comment", "_ignore"})
_TYPES: Final = {
    "_transform": (bool, "expected a boolean"),
    "_comment": (str, "expected a string"),
    "_ignore": (list, "expected an array"),
    "_info": (dict, "expected a record"),
    "_workspace": (str, "expected a string"),
    "_plugin_configs": (dict, "expected a map"),
    "_konnect": (dict, "expected a record"),
}
# fmt: off
#: what Kong (or decK, or Kong Enterprise) knows and we do not yet
NOT_YET: Final = frozenset({
    "acme_storage", "clustering_data_planes", "degraphql_routes", "filter_chains", "licenses",
    "oauth2_authorization_codes", "oauth2_credentials", "oauth2_tokens", "parameters", "partials",
    "plugins_partials", "rbac_roles", "sessions", "workspaces",
})
# fmt: on
_PLAIN_PATH: Final = re.compile(r"[a-zA-Z0-9.\-_~/%]*")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_RESERVED: Final = frozenset("!#$%&'()*+,/:;=?@[]")
_REGEX_META: Final = frozenset(".^-{}\\|")


def not_yet(name: str) -> str:
    return f"'{name}' is not supported yet by this version of Tollhouse"


def parse(text: str, file: str | None, interpolation: Interpolation | None = None) -> dict[str, Any]:
    """The map that the text holds, as JSON or YAML; raises `Refused`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise unreadable("the text is not valid Unicode", None, file) from None
    document: Any = None
    if text.lstrip().startswith("{") and not interpolation:  # else a flow map of YAML, with its places
        document = _json(text, file)
    if document is None:
        try:
            document = yaml_lines.load(text, interpolation)
        except yaml_lines.Unfilled as unfilled:
            found = [ConfigError(dotted(path), text, line, file) for path, line, text in unfilled.found]
            raise Refused(found, {"error": str(unfilled)}) from None
        except yaml_lines.YamlError as error:
            raise unreadable(str(error), error.line, file) from None
    if not isinstance(document, dict):
        raise unreadable("expected an object", None, file)
    return document


def _json(text: str, file: str | None) -> Any:
    """None if it is not JSON: a flow map of YAML starts the same way."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise unreadable("nested too deeply", None, file) from None
    except msgspec.MsgspecError as error:
        if file is not None and file.endswith(".json"):
            raise unreadable(str(error), None, file) from None
        return None


def unreadable(problem: str, line: int | None, file: str | None) -> Refused:
    """The refusal of a text that holds no document."""
    text = f"failed parsing declarative configuration: {problem}"
    return Refused([ConfigError("", text, line, file)], {"error": text})


def check_top_level(document: Mapping[str, Any], problems: Problems) -> None:
    """The keys of the file itself; entities are checked elsewhere."""
    version = document.get("_format_version")
    if version is None:
        problems.add(("_format_version",), "required field missing")
    elif not isinstance(version, str):
        problems.add(("_format_version",), "expected a string")
    elif version not in VERSIONS:
        problems.add(("_format_version",), f"expected one of: {', '.join(VERSIONS)}")
    for name, value in document.items():
        if name in ENTITIES or name in TOP_SPELLINGS or name == "_format_version" or value is None:
            continue
        if name in _TYPES:
            kind, text = _TYPES[name]
            if not isinstance(value, kind):
                problems.add((name,), text)
        elif name not in NOT_YET:
            problems.add((name,), "unknown field")
        elif value not in ([], {}):
            problems.add((name,), not_yet(name))


def located(problems: Problems, text: str, file: str | None) -> list[ConfigError]:
    """The problems with their lines, in the order of the file."""
    if not problems:
        return []  # finding lines reads the text a second time
    lines = yaml_lines.lines(text, [path for path, _ in problems.found])
    errors = [ConfigError(dotted(path), problem, lines.get(path), file) for path, problem in problems.found]
    return sorted(errors, key=lambda error: error.line or 0)


def modern_paths(raw: Mapping[str, Any], version: Any) -> Mapping[str, Any]:
    """A route of an old file as it is written today: a path that looks like a regex begins with `~`."""
    paths = raw.get("paths")
    if version not in ("1.1", "2.1") or not isinstance(paths, list):
        return raw
    return {**raw, "paths": [_modern_path(path) if isinstance(path, str) else path for path in paths]}


def _modern_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path):
        return normalised_path(path) if path.startswith("/") else path
    # Before 3.0 the request path was matched undecoded, so escapes are decoded here for the last time.
    return "~" + _ESCAPE.sub(_decoded, path)


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    if character in _RESERVED:
        return escape[0].upper()
    return f"\\{character}" if character in _REGEX_META else character
