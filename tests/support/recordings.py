"""Recorded answers of model providers, as they were on the wire."""

from pathlib import Path

from tollhouse.replay.recordings import Recording, read

__all__ = ["FOLDER", "Recording", "recording", "recordings"]

FOLDER = Path(__file__).parents[1] / "data" / "llm"


def recording(name: str) -> Recording:
    """The recording of that name, as `openai/chat-text-gpt-4o-mini`."""
    return read(FOLDER / f"{name}.json", name)


def recordings(*endpoints: str) -> list[Recording]:
    """Those of the endpoints, all of them if none is named, but never the synthetic errors."""
    names = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.json"))
    found = [recording(name) for name in names if not name.startswith("synthetic/")]
    return [stored for stored in found if not endpoints or stored.endpoint in endpoints]
