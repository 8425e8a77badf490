"""tmp"""


def llm_gateway() -> str:
    return '_format_version: "3.0"\n'
