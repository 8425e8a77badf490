"""The memory that all processes of a node share, as files that they inherit."""

from dataclasses import dataclass
from typing import Final

from tollhouse.stores.counters import shared_file
from tollhouse.stores.responses import shared_responses

#: only what has been written takes memory
_CLAIM_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """Descriptors of files in memory, made before the first process is started."""

    counters: int
    responses: int
    #: who is at what, and what came of it
    claims: int

    @classmethod
    def new(cls, counter_slots: int, response_bytes: int) -> "NodeMemory":
        return cls(
            shared_file(counter_slots), shared_responses(response_bytes), shared_responses(_CLAIM_BYTES)
        )
