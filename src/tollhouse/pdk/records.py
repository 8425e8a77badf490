"""What all logging plugins share: the record of an exchange as JSON, with the fields that are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from tollhouse.model.schema import item, setting
from tollhouse.pdk.custom_fields import apply_custom_fields, compile_custom_fields, custom_field_problem
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.lua import ExchangeNames
from tollhouse.pdk.lua.expressions import Names
from tollhouse.pdk.lua.session_names import SessionNames
from tollhouse.pdk.services import Services
from tollhouse.pdk.session import StreamSession

#: what logging plugins make records of
Logged: TypeAlias = Exchange | StreamSession

#: nginx's status for a client that went away before there was an answer
CLIENT_GONE: Final = 499
_SERVER_ERRORS: Final = 500
_CLIENT_ERRORS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """The settings of every plugin that sends log records."""

    custom_fields_by_lua: dict[str, str] | None = setting(
        None,
        keys=item(len_min=1),
        values=item(len_min=1, validator=custom_field_problem),
        doc="Fields to set in the record, each by Lua that returns the value.",
    )


def encoder(conf: RecordSettings, services: Services) -> Callable[[Logged], bytes]:
    """Gives the record of what has ended as one line of JSON."""
    fields = compile_custom_fields(conf.custom_fields_by_lua or {}, runs_lua=services.node.runs_lua)
    records, wall_clock = services.records, services.wall_clock
    record_of, session_of = records.record, records.session

    def encoded(ended: Logged) -> bytes:
        record = session_of(ended) if isinstance(ended, StreamSession) else record_of(ended)
        if fields:
            apply_custom_fields(record, fields, _names(ended, wall_clock))
        return msgspec.json.encode(record)

    return encoded


def _names(ended: Logged, wall_clock: Callable[[], float]) -> Names:
    if isinstance(ended, StreamSession):
        return SessionNames(ended, wall_clock)
    return ExchangeNames(ended, wall_clock)


def status_of(ex: Logged) -> int:
    """The status of the answer, as log records have it."""
    if isinstance(ex, StreamSession):
        return ex.status
    return ex.response.status if ex.response is not None else CLIENT_GONE


#: syslog's severities (RFC 5424, 6.2.1), most urgent first
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: in the order in which Kong's schema and refusals list them
_CHOICES: Final = SEVERITIES[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveritySettings(RecordSettings):
    """How urgent a record is, by its answer."""

    log_level: str = setting("info", required=True, one_of=_CHOICES, doc="Records less urgent are not sent.")
    successful_severity: str = setting(
        "info", required=True, one_of=_CHOICES, doc="Severity of answers with a status below 400."
    )
    client_errors_severity: str = setting(
        "info", required=True, one_of=_CHOICES, doc="Severity of answers with a status of 4xx."
    )
    server_errors_severity: str = setting(
        "info", required=True, one_of=_CHOICES, doc="Severity of answers with a status of 500 and above."
    )


def severity_of(conf: SeveritySettings, status: int) -> int | None:
    """The number of a record's severity; `None` if it is not to be sent."""
    name = conf.successful_severity
    if status >= _SERVER_ERRORS:
        name = conf.server_errors_severity
    elif status >= _CLIENT_ERRORS:
        name = conf.client_errors_severity
    severity = SEVERITIES.index(name)
    return severity if severity <= SEVERITIES.index(conf.log_level) else None
