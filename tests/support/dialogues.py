"""Dialogues between forms, as plugins have them."""

from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.translation import Translation


def towards(form: FormName, client: FormName = "openai_chat") -> Translation:
    """From clients of one form to a provider of another."""
    return Translation(FORMS[client], FORMS[form], PROVIDERS["openai"], None, compatible=False)
