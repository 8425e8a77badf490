"""How a configuration gets from control to the workers: as what has changed, or whole where that is much."""

from typing import Final

from tollhouse.model.changes import changes_between, decode_changes, encode_changes
from tollhouse.model.snapshot import Snapshot, decode, encode
from tollhouse.supervisor.shared import SnapshotFile

#: entities that a worker may have to exchange in one go, between two requests
_MOST_ENTITIES: Final = 2000
#: bytes of changes that a worker may have to read after a start, besides a quarter of the snapshot
_FEW_BYTES: Final = 1 << 20


class Handover:
    """Control's side of what processes share."""

    def __init__(self, shared: SnapshotFile) -> None:
        self._shared = shared

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes in use: of a snapshot, and of the changes since."""
        return self._shared.sizes

    def current(self) -> tuple[int, Snapshot]:
        """The version that is shared, and its snapshot."""
        version, encoded, changes = self._shared.read()
        snapshot = decode(encoded)
        for each in changes:
            snapshot = decode_changes(each, snapshot).after()
        return version, snapshot

    def write(self, before: Snapshot, after: Snapshot) -> int:
        """Shares a snapshot in the place of the current one, `before`; returns its version."""
        changes = changes_between(before, after)
        if changes.entities > _MOST_ENTITIES:
            return self._shared.write(encode(after))
        return self._shared.append(encode_changes(changes))

    def settle(self, snapshot: Snapshot) -> None:
        """Gathers the current snapshot, so that changes do not pile up."""
        whole, changes = self._shared.sizes
        if changes > _FEW_BYTES + whole // 4:
            self._shared.settle(encode(snapshot))
