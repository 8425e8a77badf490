"""Which recording a request gets."""

from pathlib import Path

import msgspec
import pytest
from tests.support.recordings import FOLDER, recordings

from tollhouse.replay.choice import Repertoire
from tollhouse.replay.recordings import NoRecording, read, read_all


def test_every_recorded_request_gets_an_answer_to_the_same_request() -> None:
    stored = [each for each in recordings() if each.path and each.request is not None]
    repertoire = Repertoire(stored)

    for each in stored:
        found = repertoire.for_request(each.path, msgspec.json.encode(each.request))
        assert found is not None
        assert (found.path, found.request) == (each.path, each.request)


@pytest.mark.parametrize(
    ("path", "body", "streamed"),
    [
        ("/any/v1/chat/completions", b'{"stream":true}', True),
        ("/v1/chat/completions", b"{}", False),
        ("/v1/messages", b'{"stream":true}', True),
        ("/v1beta/models/x:streamGenerateContent?alt=sse", b"", True),
        ("/model/x/converse-stream", b"", True),
        ("/api/chat", b"{}", True),
        ("/api/chat", b'{"stream":false}', False),
        ("/v1/embeddings", b"{}", False),
    ],
)
def test_another_model_gets_an_answer_of_the_same_kind(path: str, body: bytes, streamed: bool) -> None:
    found = Repertoire(recordings()).for_request(path, body)

    assert found is not None
    assert (found.streamed, found.status) == (streamed, 200)


def test_equals_take_turns() -> None:
    repertoire = Repertoire(recordings("chat.completions"))

    names = [repertoire.for_request("/x/chat/completions", b"{}") for _ in range(3)]

    assert len({found.name for found in names if found is not None}) == 3


def test_what_was_never_recorded() -> None:
    repertoire = Repertoire(recordings("messages"))

    assert repertoire.for_request("/v1/chat/completions", b"{}") is None
    assert repertoire.for_request("/", b"\xff") is None
    assert repertoire.named("nobody") is None


def test_files_and_folders(tmp_path: Path) -> None:
    file = FOLDER / "openai" / "chat-text-gpt-4o-mini.json"

    assert [stored.name for stored in read_all([file])] == ["openai/chat-text-gpt-4o-mini"]
    assert len(read_all([FOLDER / "openai"])) > 5
    for content in (b"", b"{}", b'{"response":{"status":200,"chunks":["\xff"]}}', b"[1]"):
        bad = tmp_path / "bad.json"
        bad.write_bytes(content)
        with pytest.raises(NoRecording, match=r"bad\.json"):
            read(bad)
