"""What coding agents send, in the shapes of their own requests: a turn within a conversation, with tools that
have been called before."""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Delta, Finish, Start, Text, ToolArguments, ToolStart
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.provider import FormName
from tollhouse.pdk.usage import Usage

_EPHEMERAL: Final = {"cache_control": {"type": "ephemeral"}}
_OBJECT: Final = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}

CLAUDE_CODE_HEADERS: Final = {
    "Content-Type": "application/json",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "Authorization": "Bearer the-client-s-own",
    "x-app": "cli",
    "User-Agent": "claude-cli/2.1.0 (external, cli)",
    "x-stainless-helper-method": "stream",
}
CLAUDE_CODE: Final[dict[str, Any]] = {
    "model": "claude-opus-4-6",
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "You are a coding agent.", **_EPHEMERAL},
        {"type": "text", "text": "Working directory: /src", **_EPHEMERAL},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"},
                {"type": "text", "text": "Which tests fail?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Run them.", "signature": "c2lnbmF0dXJl"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {"command": "ls"}},
                {"type": "tool_use", "id": "toolu_01B", "name": "Read", "input": {"file_path": "/no"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"tool_use_id": "toolu_01A", "type": "tool_result", "content": "a.py", "is_error": False},
                {
                    "tool_use_id": "toolu_01B",
                    "type": "tool_result",
                    "content": [{"type": "text", "text": "no such file"}],
                    "is_error": True,
                },
                {"type": "text", "text": "Go on.", **_EPHEMERAL},
            ],
        },
    ],
    "tools": [
        {
            "name": "Bash",
            "description": "Runs a command.",
            "input_schema": {
                **_OBJECT,
                "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {**_OBJECT, "properties": {"file_path": {"type": "string"}}},
            **_EPHEMERAL,
        },
    ],
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "metadata": {"user_id": "user_1f_account__session_2e"},
    "stream": True,
}

PATCH: Final = '*** Begin Patch\n*** Add File: é.py\n+print("hi")\n*** End Patch\n'
CODEX: Final[dict[str, Any]] = {
    "model": "gpt-5-codex",
    "instructions": "You are a coding agent.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "<permissions>workspace-write</permissions>"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "<environment_context/>"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix the tests."}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Look first."}],
            "content": None,
            "encrypted_content": "gAAAA==",
        },
        {
            "type": "function_call",
            "name": "shell",
            "arguments": '{"command":["ls"]}',
            "call_id": "call_1",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": '{"output":"a.py"}'},
        {
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "call_2",
            "name": "apply_patch",
            "input": PATCH,
        },
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done."},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "call_3",
            "status": "completed",
            "action": {"type": "exec", "command": ["pytest"], "env": {}},
        },
        {"type": "local_shell_call_output", "call_id": "call_3", "output": "1 failed"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command.",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {
                "type": "grammar",
                "syntax": "lark",
                "definition": "start: begin_patch hunk+ end_patch",
            },
        },
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0198c0de",
}


def calling(form: FormName, *calls: tuple[str, dict[str, Any]]) -> bytes:
    """A provider's stream that says a word and calls tools, their arguments in pieces."""
    deltas: list[Delta] = [Start("some-model", "answer-1", 1), Text("Now.")]
    for index, (name, given) in enumerate(calls):
        arguments = msgspec.json.encode(given).decode()
        half = len(arguments) // 2
        deltas.append(ToolStart(index, f"call_{index}", name))
        deltas += [ToolArguments(index, piece) for piece in (arguments[:half], arguments[half:])]
    deltas.append(Finish("tool_calls", Usage(100, 20)))
    encoder = FORMS[form].stream_encoder(include_usage=True)
    return b"".join(map(encoder.encode, deltas))
