"""Writes the table of environment variables in docs/running-elsewhere.md from the worker's own settings.

.venv/bin/python -m infra.environment_page
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

from infra.constants import FUNCTIONS, ROOT

PAGE: Final = ROOT / "docs" / "running-elsewhere.md"
COMMAND: Final = ".venv/bin/python -m infra.environment_page"
BEGIN: Final = f"<!-- Written by `{COMMAND}`; a test fails if it is not current. -->"
END: Final = "<!-- End of the table. -->"

SETTINGS: Final = FUNCTIONS / "worker" / "settings.py"

OTHERS: Final = {
    "SEGUE_PROVIDER": ("`nova-sonic`", "The provider of the voice model, see [providers.md](providers.md)."),
    "SEGUE_MODEL_ID": ("the provider's", "The voice model."),
    "SEGUE_VOICE": ("the provider's", "The voice."),
    "SEGUE_PROVIDER_INPUT_RATE": ("the provider's", "Samples a second that the provider hears."),
    "SEGUE_PROVIDER_OUTPUT_RATE": ("the provider's", "Samples a second that the provider speaks."),
    "SEGUE_INPUT_RATE": ("the provider's", "Samples a second that clients send."),
    "SEGUE_OUTPUT_RATE": ("the provider's", "Samples a second that clients are sent."),
    "SEGUE_PROVIDER_OPTIONS": ("`{}`", "Whatever else the provider's model takes, as a JSON object."),
    "SEGUE_PROVIDER_ENDPOINT": ("the provider's", "Another address of the provider, for a proxy or a fake."),
    "SEGUE_TEXT_MODEL_ID": ("see `agent.py`", "The model of `build_text_agent`."),
    "SEGUE_TOOL_ERRORS": ("`shown`", "`hidden` keeps the texts of tools' errors from the model."),
    "SEGUE_DEBUG": ("", "Set under a debugger: the event loop is not watched."),
    "OPENAI_API_KEY, GEMINI_API_KEY": ("", "The provider's key, where it needs one."),
    "LOG_LEVEL": ("`INFO`", "Of the log lines."),
    "POWERTOOLS_SERVICE_NAME": ("`worker`", "The metrics' dimension `service`: `segue-worker` in the stack."),
}  # fmt: skip
"""Variables that are read elsewhere than in the worker's settings: their defaults and meanings."""


def table() -> str:
    """The table: the worker's own settings from their code, and the others."""
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in own()]
    rows += [
        f"| {', '.join(f'`{each}`' for each in names.split(', '))} | {default} | {text} |"
        for names, (default, text) in OTHERS.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def own() -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each variable that the worker's settings read."""
    tree = ast.parse(SETTINGS.read_text(encoding="utf-8"))
    (environment,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Environment")
    meanings = _meanings(ast.get_docstring(environment) or "")
    (read,) = (node for node in environment.body if isinstance(node, ast.FunctionDef) and node.name == "read")
    for node in ast.walk(read):
        if not isinstance(node, ast.keyword) or node.arg not in meanings:
            continue
        calls = [each for each in ast.walk(node.value) if isinstance(each, ast.Call) and _is_read(each)]
        for call in calls:
            name, *given = call.args
            if isinstance(name, ast.Constant):
                yield str(name.value), _default(given), meanings[node.arg]


def _is_read(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in {"text", "number"}


def _default(given: list[ast.expr]) -> str:
    if not given:
        return "needed"
    default = str(given[0].value) if isinstance(given[0], ast.Constant) else ""
    return f"`{default}`" if default else ""


def _meanings(docstring: str) -> dict[str, str]:
    """Meanings of attributes as a class's docstring gives them, in Markdown."""
    listed = docstring.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "`").split()) for name, text in found}


def page(present: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = present.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
