"""Azure OpenAI. https://learn.microsoft.com/azure/ai-foundry/openai/reference

There are two ways in: a path for each deployment, with the version of the API in the query, as Kong's
settings name them; and the newer `/openai/v1`, where the deployment is the model of the request.
"""

from typing import Final

from tollhouse.llm.provider import Provider

#: the argument with the version of the API; who has its own keeps it
VERSION: Final = "api-version"


def api_key(key: str) -> tuple[str, str]:
    return "api-key", key


PROVIDER: Final = Provider(
    name="azure",
    chat_path="/openai/v1/chat/completions",
    completions_path="/openai/v1/completions",
    key=api_key,
    responses_path="/openai/v1/responses",
    prices="azure",
    # No variables: a key alone does not tell where a resource is.
)


def deployment_url(instance: str, deployment: str, operation: str) -> str:
    """Where a deployment does something: `chat/completions`, `embeddings`."""
    return f"https://{instance}.openai.azure.com/openai/deployments/{deployment}/{operation.lstrip('/')}"
