"""The order of plugins inside a phase."""

from dataclasses import dataclass

from tollhouse.flow.precedence import order


@dataclass(frozen=True)
class Placed:
    name: str
    priority: int


def test_higher_priorities_come_first_and_equal_ones_by_name_from_z_to_a() -> None:
    wanted = [
        *(Placed("b", 910), Placed("rate-limiting-advanced", 900), Placed("rate-limiting", 900)),
        *(Placed("acl", 900), Placed("zipkin", -1)),
    ]
    assert sorted([*wanted[::2], *wanted[1::2]], key=order) == wanted  # type: ignore[arg-type]
