"""Plugins' phases with a clock around them, for plans where somebody wants to know."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from tollhouse.pdk.timings import Timings
from tollhouse.pdk.wait import Wait


def timed(step: Callable[..., Any], phase: str, plugin: str) -> Callable[..., Any]:
    """The step, counted in the exchange's `Timings`."""

    def run(ex: Any, *arguments: Any) -> Any:
        started = perf_counter()
        try:
            result = step(ex, *arguments)
        finally:
            ex.slot(Timings).add(phase, plugin, started, perf_counter())
        if phase == "access" and result is not None and not isinstance(result, Wait):
            return waited(ex, result)
        return result

    async def waited(ex: Any, waiting: Awaitable[None]) -> None:
        started = perf_counter()
        try:
            await waiting
        finally:
            ex.slot(Timings).add(phase, plugin, started, perf_counter())

    return run
