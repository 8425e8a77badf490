import msgspec
import pytest

from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.overrides import Overrides
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Options


@pytest.mark.parametrize(
    ("options", "model", "provider", "body", "changed"),
    [
        (Options(), "m", "ollama", {"temperature": 1}, {}),
        (Options(temperature=0.5), "m", "ollama", {}, {"temperature": 0.5}),
        (
            Options(temperature=0, top_p=0.1),
            "m",
            "ollama",
            {"temperature": 1},
            {"temperature": 0, "top_p": 0.1},
        ),
        (Options(top_k=4), "m", "ollama", {}, {"top_k": 4}),
        # OpenAI answers top_k with an error.
        (Options(top_k=4), "m", "openai", {}, {}),
        (Options(), "m", "openai", {"top_k": 4}, {"top_k": None}),
        # Mistral has other names for some, and refuses OpenAI's.
        (Options(), "m", "mistral", {"seed": 4}, {"random_seed": 4, "seed": None}),
        (Options(), "m", "mistral", {"seed": 4, "random_seed": 5}, {"seed": None}),
        (
            Options(),
            "m",
            "mistral",
            {"max_completion_tokens": 4},
            {"max_tokens": 4, "max_completion_tokens": None},
        ),
        # A limit goes under the name that the model takes, and holds under the client's as well.
        (Options(max_tokens=7), "gpt-4o", "openai", {}, {"max_tokens": 7}),
        (Options(max_tokens=7), "o3", "openai", {}, {"max_completion_tokens": 7}),
        (Options(max_tokens=7), "gpt-4o", "openai", {"max_tokens": 100}, {"max_tokens": 7}),
        (
            Options(max_tokens=7),
            "gpt-4o",
            "openai",
            {"max_completion_tokens": 100},
            {"max_completion_tokens": 7},
        ),
        (
            Options(max_tokens=7),
            "gpt-4o",
            "openai",
            {"max_tokens": 1, "max_completion_tokens": 100},
            {"max_tokens": 7, "max_completion_tokens": 7},
        ),
    ],
)
def test_what_the_operator_sets_holds(
    options: Options, model: str, provider: str, body: dict[str, object], changed: dict[str, object]
) -> None:
    members = forward.members_of(msgspec.json.encode(body))

    overrides = Overrides(options, PROVIDERS[provider])
    overrides.apply(members, model, msgspec.Raw(msgspec.json.encode(model)), stream=True)

    expected = {**body, "model": model, "stream": True, **changed}
    got = msgspec.json.decode(forward.body_of(members))
    assert got == {name: value for name, value in expected.items() if value is not None}
