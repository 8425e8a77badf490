"""What is known of a provider: where it is, how it wants its key, which form it speaks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: names a provider's key as header name and value
Key: TypeAlias = Callable[[str], tuple[str, str]]
FormName: TypeAlias = Literal[
    "openai_chat",
    "ollama_chat",
    "anthropic_messages",
    "gemini",
    "bedrock_converse",
    "openai_responses",
    "cohere_chat",
]

#: forms of servers that go on with a text
TextForm: TypeAlias = Literal["llama_raw", "hugging_face", "ollama_generate"]

OPENAI_CHAT_PATH: Final = "/v1/chat/completions"
#: where the model stands in a path
MODEL: Final = "{model}"
#: where the region of a cloud stands in an address
REGION: Final = "{region}"


def bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One row of the table of providers."""

    name: str
    #: scheme, host and the start of the path; `None` where only the operator knows it
    base_url: str | None = None
    form: FormName = "openai_chat"
    #: with `{model}` where the model is told in the path
    chat_path: str = OPENAI_CHAT_PATH
    #: path and query for streamed answers, if they are others
    stream_path: str | None = None
    #: how upstream URLs end where it speaks OpenAI's form in place of its own
    compatible_paths: tuple[str, ...] = ("/chat/completions",)
    #: OpenAI's responses; `None` where there are none, so that they are translated into chats
    responses_path: str | None = None
    #: text completions; `None` where there are none
    completions_path: str | None = None
    #: `None` if the provider asks for no key
    key: Key | None = bearer
    #: the service of AWS that requests are signed for, where a key is not all there is
    signs: str | None = None
    #: its name in the catalogue of prices; `None` if nobody publishes prices for it
    prices: str | None = None
    #: environment variables that its own SDK reads the key from
    key_variables: tuple[str, ...] = ()
    #: a small model, for the lines that a new user is shown
    usual_model: str = ""
    #: runs on hardware of its owner: every call costs nothing
    free: bool = False
    #: header fields that every call in its own form must have, unless the settings say otherwise
    headers: tuple[tuple[str, str], ...] = ()
    #: request fields that it answers with an error, and that are therefore left out
    refuses: frozenset[str] = frozenset()
    #: request fields that it has under another name
    renames: tuple[tuple[str, str], ...] = ()
    #: makes an id that it takes of a call's that another model made; `None` if it takes all
    call_id: Callable[[str], str] | None = None
    #: streams tell usage only when asked; the others tell it anyway, or refuse to be asked
    asks_usage: bool = True
    #: Set-Cookie of its answers is for the gateway, not for clients
    drops_cookies: bool = False
    #: Kong asks it for gzip even if the client does not
    asks_gzip: bool = False
    #: Kong's answers of it have no id, where its own form has none
    invents_id: bool = True

    def path_for(self, client: FormName) -> str:
        """Where chats of clients of that form go."""
        if client == "openai_responses" and self.responses_path is not None:
            return self.responses_path
        return self.chat_path
