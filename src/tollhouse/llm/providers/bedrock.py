"""Amazon Bedrock. Requests are signed with AWS credentials, or carry one of Bedrock's own API keys as a
bearer token. https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html

The base URL has the region, the paths the model's id, percent-encoded, in braces here.
"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="bedrock",
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    form="bedrock_converse",
    chat_path="/model/{model}/converse",
    stream_path="/model/{model}/converse-stream",
    signs="bedrock",
    prices="aws",
)
