from pathlib import Path

from tollhouse.model.entities import Consumer
from tollhouse.model.snapshot import Snapshot, encode
from tollhouse.supervisor.last_good import KeptSnapshot

SNAPSHOT = Snapshot(consumers=(Consumer(id="1", created_at=1, updated_at=1, username="a"),), hash="1" * 32)


def test_what_is_kept_is_read_back_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    kept = KeptSnapshot(tmp_path, "postgres://a")
    assert kept.read() is None

    kept.keep(encode(Snapshot()))
    kept.keep(encode(SNAPSHOT))

    assert kept.read() == SNAPSHOT
    assert KeptSnapshot(tmp_path, "postgres://b").read() is None
    (file,) = (tmp_path / "last-good").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_not_given_out(tmp_path: Path) -> None:
    kept = KeptSnapshot(tmp_path, "postgres://a")
    kept.keep(encode(SNAPSHOT))
    (file,) = (tmp_path / "last-good").iterdir()
    file.write_bytes(file.read_bytes()[:-1])

    assert kept.read() is None


def test_a_folder_that_cannot_be_written_to_is_no_reason_to_end(tmp_path: Path) -> None:
    (tmp_path / "last-good").write_text("a file")

    KeptSnapshot(tmp_path, "postgres://a").keep(encode(SNAPSHOT))
