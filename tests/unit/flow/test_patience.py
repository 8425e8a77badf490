"""A plugin's patience in place of a service's timeouts."""

import pytest

from tollhouse.flow.backend import Backend, Endpoint
from tollhouse.flow.drive import DrivenExchange
from tollhouse.pdk import Patience
from tollhouse.upstream.http1 import Timeouts


class Nowhere:
    def now(self, ex: DrivenExchange) -> Endpoint | None:
        return None

    async def pick(self, ex: DrivenExchange) -> Endpoint:
        raise LookupError


OWN = Backend(Nowhere(), None, 5, Timeouts(connect=7.0, read=9.0, write=11.0))


@pytest.mark.parametrize(
    ("patience", "timeouts", "retries"),
    [
        (Patience(), Timeouts(7.0, 9.0, 11.0, 9.0, float("inf")), 5),
        (Patience(1.0, 2.0, 3.0, 4.0, 6.0, 0), Timeouts(4.0, 2.0, 6.0, 1.0, 3.0), 0),
    ],
)
def test_what_a_plugin_sets_replaces_what_the_service_has(
    patience: Patience, timeouts: Timeouts, retries: int
) -> None:
    made = OWN.with_patience(patience)

    assert (made.timeouts, made.retries) == (timeouts, retries)
