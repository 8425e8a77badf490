"""The model embedded in this node; where it listens is told by the node."""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="local", completions_path="/v1/completions", key=None, free=True, usual_model="smollm2"
)
