"""What the tests of ai-request-transformer and ai-response-transformer share."""

import json
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


def said(text: str | None, **more: Any) -> bytes:
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    return json.dumps({"model": "m-1", "choices": choices, "usage": USAGE, **more}).encode()


def llm(url: str, **more: Any) -> dict[str, Any]:
    options = {"upstream_url": f"{url}/v1/chat/completions", "input_cost": 1000, "output_cost": 2000}
    return {
        "route_type": "llm/v1/chat",
        "auth": {"header_name": "Authorization", "header_value": "Bearer sk-own", **more.pop("auth", {})},
        "model": {"provider": "openai", "name": "m-1", "options": options},
        "logging": {"log_statistics": True},
        **more,
    }


def hugging_face(url: str) -> dict[str, Any]:
    there = {"use_cache": False, "wait_for_model": True}
    options = {"upstream_url": f"{url}/v1/chat/completions", "huggingface": there}
    return llm(url, model={"provider": "huggingface", "name": "m-1", "options": options})


def gemini(url: str) -> dict[str, Any]:
    options = {"upstream_url": f"{url}/v1beta/models/m:generateContent"}
    return llm(url, model={"provider": "gemini", "name": "m", "options": options})
