"""Claims of several processes."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from tollhouse.stores.claims import SharedClaims
from tollhouse.stores.responses import SharedResponses, shared_responses


@pytest.fixture
def claims() -> Iterator[SharedClaims]:
    descriptor = shared_responses(256 * 1024)
    results = SharedResponses(descriptor, time.time)
    yield SharedClaims(descriptor, results)
    results.close()
    os.close(descriptor)


def test_a_claim_is_for_one_until_it_is_freed(claims: SharedClaims) -> None:
    assert claims.take("k")
    assert not claims.take("k")
    assert claims.take("other")
    claims.free("k")
    assert claims.take("k")


def test_freeing_what_nobody_has_is_nothing(claims: SharedClaims) -> None:
    claims.free("k")
    assert claims.take("k")


@pytest.fixture
def another() -> Iterator[Callable[[Callable[[], bool]], int]]:
    """Does something in another process, which lives until the descriptor that is returned is closed."""
    children: list[int] = []

    def start(work: Callable[[], bool]) -> int:
        told, tell = os.pipe()
        ends, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            os.write(tell, b"1" if work() else b"0")
            os.read(ends, 1)  # until the parent closes its side
            os._exit(0)
        children.append(child)
        os.close(ends)
        done = os.read(told, 1)
        os.close(told)
        os.close(tell)
        assert done == b"1"
        return end

    yield start
    for child in children:
        os.waitpid(child, 0)


async def test_a_claim_of_another_process_holds_until_that_dies(
    claims: SharedClaims, another: Callable[[Callable[[], bool]], int]
) -> None:
    alive = another(lambda: claims.take("k"))
    assert not claims.take("k")

    os.close(alive)
    await claims.freed("k")
    assert claims.take("k")


def test_what_came_of_it_is_known_until_it_is_forgotten(claims: SharedClaims) -> None:
    claims.put("k", b"done", 60)
    assert claims.find("k") == b"done"
    claims.forget("k")
    assert claims.find("k") is None
