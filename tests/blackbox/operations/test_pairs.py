"""Embeddings and reranking: clients of every form in front of every provider that has them."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.models import ModelServer, plain
from tests.support.routes import routes
from tests.support.upstream import Received

#: dollars for a million tokens
PRICE: Final = 3
#: what each text has, at every provider
TOKENS: Final = 4
TEXTS: Final = ("first", "second")


def vectors(count: int) -> list[list[float]]:
    return [[float(place), 0.5] for place in range(count)]


@dataclass(frozen=True)
class Provider:
    name: str
    model: str
    path: str
    #: how many texts a request has, and what is answered: body and further fields
    count: Callable[[Any], int]
    answer: Callable[[list[list[float]], int], Any]
    #: most texts in one request
    most: int = 2048
    fields: Callable[[int], tuple[str, ...]] = lambda used: ()
    options: dict[str, Any] = field(default_factory=dict)


def inputs(body: Any) -> int:
    return 1 if isinstance(body["input"], str) else len(body["input"])


def as_openai(made: list[list[float]], used: int) -> Any:
    data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(made)]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "id": "e", "model": "answered", "data": data, "usage": usage}


def as_predictions(made: list[list[float]], used: int) -> Any:
    share = used // len(made)
    embeddings = [{"values": one, "statistics": {"truncated": False, "token_count": share}} for one in made]
    return {"predictions": [{"embeddings": one} for one in embeddings]}


PROVIDERS: Final = {
    "openai": Provider("openai", "text-embedding-3-small", "/v1/embeddings", inputs, as_openai),
    "mistral": Provider(
        "mistral",
        "mistral-embed",
        "/v1/embeddings",
        inputs,
        as_openai,
        options={"mistral_format": "openai"},
    ),
    "gemini": Provider(
        "gemini",
        "gemini-embedding-001",
        "/v1beta/models/gemini-embedding-001:batchEmbedContents",
        lambda body: len(body["requests"]),
        lambda made, used: {
            "embeddings": [{"values": one} for one in made],
            "usageMetadata": {"promptTokenCount": used},
        },
        most=100,
    ),
    "vertex": Provider(
        "gemini",
        "text-embedding-005",
        "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict",
        lambda body: len(body["instances"]),
        as_predictions,
        most=250,
    ),
    "vertex-gemini": Provider(
        "gemini",
        "gemini-embedding-001",
        "/v1/projects/p/locations/l/publishers/google/models/gemini-embedding-001:predict",
        lambda body: len(body["instances"]),
        as_predictions,
        most=1,
    ),
    "titan": Provider(
        "bedrock",
        "amazon.titan-embed-text-v2:0",
        "/model/amazon.titan-embed-text-v2%3A0/invoke",
        lambda body: 1 if body["inputText"] else 0,
        lambda made, used: {"embedding": made[0], "inputTextTokenCount": used},
        most=1,
    ),
    "bedrock-cohere": Provider(
        "bedrock",
        "cohere.embed-english-v3",
        "/model/cohere.embed-english-v3/invoke",
        lambda body: len(body["texts"]),
        lambda made, used: {"embeddings": {"float": made}},
        most=96,
        fields=lambda used: (f"X-Amzn-Bedrock-Input-Token-Count: {used}",),
    ),
    "cohere": Provider(
        "cohere",
        "embed-v4.0",
        "/v2/embed",
        lambda body: len(body["texts"]) if body["input_type"] else 0,
        lambda made, used: {
            "id": "e",
            "embeddings": {"float": made},
            "meta": {"billed_units": {"input_tokens": used}},
        },
        most=96,
    ),
    "ollama": Provider(
        "ollama",
        "nomic-embed-text",
        "/api/embed",
        inputs,
        lambda made, used: {"model": "answered", "embeddings": made, "prompt_eval_count": used},
    ),
}


@dataclass(frozen=True)
class Client:
    llm_format: str
    path: str
    ask: Callable[[tuple[str, ...], str], Any]
    read: Callable[[Any], list[list[float]]]
    #: what it tells of usage; `None` if its form has no place for that
    used: Callable[[Any], int] | None
    texts: tuple[str, ...] = TEXTS


CLIENTS: Final = {
    "openai": Client(
        "openai",
        "/v1/embeddings",
        lambda texts, model: {"model": model, "input": list(texts), "encoding_format": "float"},
        lambda answer: [one["embedding"] for one in answer["data"]],
        lambda answer: int(answer["usage"]["prompt_tokens"]),
    ),
    "gemini": Client(
        "gemini",
        "/v1beta/models/{model}:batchEmbedContents",
        lambda texts, model: {
            "requests": [
                {"model": f"models/{model}", "content": {"parts": [{"text": text}]}} for text in texts
            ]
        },
        lambda answer: [one["values"] for one in answer["embeddings"]],
        lambda answer: int(answer["usageMetadata"]["promptTokenCount"]),
    ),
    "gemini-single": Client(
        "gemini",
        "/v1beta/models/{model}:embedContent",
        lambda texts, model: {"content": {"parts": [{"text": texts[0]}]}},
        lambda answer: [answer["embedding"]["values"]],
        lambda answer: int(answer["usageMetadata"]["promptTokenCount"]),
        TEXTS[:1],
    ),
    "vertex": Client(
        "gemini",
        "/v1/projects/p/locations/l/publishers/google/models/{model}:predict",
        lambda texts, model: {"instances": [{"content": text} for text in texts]},
        lambda answer: [one["embeddings"]["values"] for one in answer["predictions"]],
        None,
    ),
    "cohere": Client(
        "cohere",
        "/v2/embed",
        lambda texts, model: {"model": model, "texts": list(texts), "input_type": "search_query"},
        lambda answer: list(answer["embeddings"]["float"]),
        lambda answer: int(answer["meta"]["billed_units"]["input_tokens"]),
    ),
    "ollama": Client(
        "ollama",
        "/api/embed",
        lambda texts, model: {"model": model, "input": list(texts)},
        lambda answer: list(answer["embeddings"]),
        lambda answer: int(answer["prompt_eval_count"]),
    ),
}
FORMATS: Final = sorted({client.llm_format for client in CLIENTS.values()})


def settings(provider: Provider, url: str, llm_format: str, route_type: str) -> dict[str, Any]:
    auth: dict[str, Any] = {"header_name": "Authorization", "header_value": "Bearer the-key"}
    if provider.name == "bedrock":
        auth = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    options = {"upstream_url": url + provider.path, **provider.options}
    return {
        "route_type": route_type,
        "llm_format": llm_format,
        "auth": auth,
        "model": {"provider": provider.name, "name": provider.model, "options": options},
        "prices": [{"model": provider.model, "input": PRICE, "output": 0}],
    }


@pytest.fixture(scope="module")
async def node(models: ModelServer) -> AsyncIterator[Gateway]:
    named: dict[str, tuple[str, dict[str, Any]]] = {
        f"{name}-{form}": ("ai-proxy", settings(provider, models.url, form, "llm/v1/embeddings"))
        for name, provider in PROVIDERS.items()
        for form in FORMATS
    }
    named |= {
        f"rank-{name}-{form}": ("ai-proxy", settings(ranker, models.url, form, "llm/v1/rerank"))
        for name, ranker in RANKERS.items()
        for form in ("openai", "cohere")
    }
    gateway = await Gateway.start(routes(models.url, named))
    yield gateway
    await gateway.stop()


async def post(node: Gateway, path: str, body: Any) -> Reply:
    fields = {"Content-Type": "application/json"}
    return await node.request("POST", path, fields, json.dumps(body).encode())


def answering(provider: Provider, counts: list[int]) -> Any:
    """Vectors for as many texts as are asked for, all from one row; `counts` gets how many that were."""
    made = iter(vectors(2048))

    async def answer(received: Received, writer: Any) -> bool:
        count = provider.count(json.loads(received.body))
        counts.append(count)
        body = provider.answer([next(made) for _ in range(count)], count * TOKENS)
        return await plain(json.dumps(body).encode(), 200, *provider.fields(count * TOKENS))(received, writer)

    return answer


@pytest.mark.parametrize("to", PROVIDERS)
@pytest.mark.parametrize("client_name", CLIENTS)
async def test_embeddings_of_every_provider_for_clients_of_every_form(
    node: Gateway, models: ModelServer, client_name: str, to: str
) -> None:
    client, provider, counts = CLIENTS[client_name], PROVIDERS[to], list[int]()
    models.play = answering(provider, counts)
    path = f"/{to}-{client.llm_format}{client.path.format(model=provider.model)}"

    reply = await post(node, path, client.ask(client.texts, provider.model))

    assert reply.status == 200, reply.body
    answer = reply.json()
    made = client.read(answer)
    if provider.most >= len(client.texts):  # else the order of the calls is not settled
        assert made == [pytest.approx(one) for one in vectors(len(client.texts))]
    assert len(made) == len(client.texts) == sum(counts)
    used = TOKENS * len(client.texts)
    if client.used is not None:
        assert client.used(answer) == used
    assert reply.headers["x-tollhouse-prompt-tokens"] == str(used)
    assert reply.headers["x-tollhouse-usage"] == "reported"
    assert float(reply.headers["x-tollhouse-cost-usd"]) == pytest.approx(used * PRICE / 1e6)


@pytest.mark.parametrize(
    ("to", "texts"), [("gemini", 150), ("vertex", 260), ("vertex-gemini", 3), ("cohere", 200)]
)
async def test_more_texts_than_a_provider_takes_at_once_become_several_requests(
    node: Gateway, models: ModelServer, to: str, texts: int
) -> None:
    client, provider, counts = CLIENTS["openai"], PROVIDERS[to], list[int]()
    models.play = answering(provider, counts)
    asked = client.ask(tuple(f"text {place}" for place in range(texts)), provider.model)

    reply = await post(node, f"/{to}-openai/v1/embeddings", asked)

    assert reply.status == 200, reply.body
    assert len(client.read(reply.json())) == texts
    assert max(counts) == provider.most
    assert len(counts) == -(-texts // provider.most)
    assert reply.headers["x-tollhouse-prompt-tokens"] == str(texts * TOKENS)
    assert float(reply.headers["x-tollhouse-cost-usd"]) == pytest.approx(texts * TOKENS * PRICE / 1e6)


# Reranking: all forms are Cohere's, or nearly


def ranked(**more: Any) -> Callable[[list[list[float]], int], Any]:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.25}]
    return lambda made, used: {"results": results, **more}


def documents(body: Any) -> int:
    return len(body["documents"]) if body["query"] else 0


_UNITS: Final = {"id": "r", "meta": {"billed_units": {"search_units": 1}}}
_USED: Final = {"usage": {"total_tokens": 2 * TOKENS}}
RANKERS: Final = {
    "cohere": Provider("cohere", "rerank-v3.5", "/v2/rerank", documents, ranked(**_UNITS)),
    "bedrock": Provider(
        "bedrock",
        "cohere.rerank-v3-5:0",
        "/model/cohere.rerank-v3-5%3A0/invoke",
        lambda body: documents(body) if body["api_version"] == 2 and "model" not in body else 0,
        ranked(),
    ),
    "amazon": Provider(
        "bedrock",
        "amazon.rerank-v1:0",
        "/model/amazon.rerank-v1%3A0/invoke",
        lambda body: documents(body) if "api_version" not in body else 0,
        ranked(),
    ),
    "compatible": Provider("openai", "rerank-2.5-lite", "/v1/rerank", documents, ranked(**_USED)),
    "together": Provider("together", "rerank-2.5-lite", "/v1/rerank", documents, ranked(**_USED)),
    "openrouter": Provider("openrouter", "rerank-2.5-lite", "/api/v1/rerank", documents, ranked(**_USED)),
}


@pytest.mark.parametrize("to", RANKERS)
@pytest.mark.parametrize(("form", "path"), [("cohere", "/v2/rerank"), ("openai", "/v1/rerank")])
async def test_every_provider_that_ranks_does_it_for_clients_of_both_forms(
    node: Gateway, models: ModelServer, form: str, path: str, to: str
) -> None:
    ranker, counts = RANKERS[to], list[int]()
    models.play = answering(ranker, counts)
    asked = {"model": ranker.model, "query": "which?", "documents": list(TEXTS), "top_n": 2}

    reply = await post(node, f"/rank-{to}-{form}{path}", asked)

    assert reply.status == 200, reply.body
    answer: Any = reply.json()
    assert [(one["index"], one["relevance_score"]) for one in answer["results"]] == [(1, 0.9), (0, 0.25)]
    assert counts == [2]
    if to in ("compatible", "together", "openrouter"):
        assert reply.headers["x-tollhouse-prompt-tokens"] == str(2 * TOKENS)
        assert float(reply.headers["x-tollhouse-cost-usd"]) == pytest.approx(2 * TOKENS * PRICE / 1e6)
    else:  # what is billed are searches, whose price is not known
        assert "x-tollhouse-cost-usd" not in reply.headers
