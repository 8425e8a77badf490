"""What logs and metrics tell of a server that nodes share."""

import logging

from tollhouse.pdk.meter import Meter


class Watch:
    """One server. `kind` is the word for it in metrics and `title` the one in logs."""

    def __init__(self, meter: Meter, kind: str, title: str, shown: str) -> None:
        self.shown = shown
        self._title = title
        self._log = logging.getLogger(f"tollhouse.{kind}")
        self._is_away = False
        connected = meter.counter(
            f"tollhouse_{kind}_connects_total", f"Connections made to {title}", ("server",)
        )
        errors = meter.counter(
            f"tollhouse_{kind}_errors_total",
            f"Calls of {title} that failed, and connections lost",
            ("server", "kind"),
        )
        self._connected = connected.series((shown,))
        self._lost = errors.series((shown, "lost"))
        self._refused = errors.series((shown, "away"))
        self._answers = errors.series((shown, "answer"))

    def came(self) -> None:
        self._connected.value += 1
        if self._is_away:
            self._log.warning("%s %s is back", self._title, self.shown)
        self._is_away = False

    def went(self, why: Exception) -> None:
        self._lost.value += 1
        if not self._is_away:
            self._log.error("%s %s cannot be reached: %s", self._title, self.shown, why)
        self._is_away = True

    def refused(self) -> None:
        self._refused.value += 1

    def answered_with_error(self) -> None:
        self._answers.value += 1
