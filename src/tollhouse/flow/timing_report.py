"""Where the gateway's own time went: in log records, and in a `Server-Timing` header."""

from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal

from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.pdk.services import Services
from tollhouse.pdk.timings import Timings

Told = Literal["never", "on_request", "always"]
_HEADERS: Final[dict[str, Told]] = {"log": "never", "on_request": "on_request", "always": "always"}


@dataclass(frozen=True, slots=True)
class When:
    """Who is told where the time went, beside log records: whoever asks, or everybody."""

    headers: Told = "never"


class TimingReport(Plugin[When]):
    """Takes part in every plan where the node's `timing` says so. It comes last, so that it sees what all
    the others took before a head goes out."""

    name = "timing"
    priority = -(10**9)
    Config = When
    looks_at_answer = False
    wants_timings = True

    def access(self, ex: Exchange) -> None:
        """Marks that there is an access phase, whose beginning tells when the route was known."""

    def header_filter(self, ex: Exchange) -> None:
        timings, when = ex.slot(Timings), self.conf.headers
        timings.shown = True
        asked = when == "always" or (
            when == "on_request" and "x-tollhouse-timing" in ex.request.headers.values
        )
        if asked and ex.response is not None:
            ex.response.headers.set("Server-Timing", server_timing(ex, timings, perf_counter()))


def server_timing(ex: Exchange, timings: Timings, now: float) -> str:
    """The field's value, durations in milliseconds (https://www.w3.org/TR/server-timing/)."""
    waited = ex.answered_at - ex.sent_at if ex.sent_at and ex.answered_at else 0.0
    parts = [("gateway", now - ex.started - waited)]
    routed = timings.routed_at()
    if routed is not None:
        parts.append(("router", routed - ex.started))
    parts += [
        (f"{phase}.{plugin}", took)
        for (phase, plugin), (_, _, took) in timings.entries.items()
        if plugin != TimingReport.name
    ]
    if waited:
        parts.append(("upstream", waited))
    return ", ".join(f"{name};dur={took * 1000:.3f}" for name, took in parts)


def timing_report(setting: str, services: Services) -> tuple[Plugin[When], ...]:
    """What the node's `timing` setting asks for; nothing where it is off."""
    if setting == "off":
        return ()
    return (TimingReport(When(_HEADERS[setting]), Scope(), services),)
