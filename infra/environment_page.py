"""Writer of docs/running-elsewhere.md's table of environment variables, from the worker's own settings.

.venv/bin/python -m infra.environment_page
"""

from __future__ import annotations

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
    "SEGUE_MODEL_ID, SEGUE_VOICE, SEGUE_PROVIDER_INPUT_RATE, SEGUE_PROVIDER_OUTPUT_RATE, SEGUE_INPUT_RATE, "
    "SEGUE_OUTPUT_RATE, SEGUE_PROVIDER_ENDPOINT": (
        "the provider's", "Its model, voice, rates and address, and the clients' rates: [providers.md](providers.md)."
    ),
    "SEGUE_PROVIDER_OPTIONS": ("`{}`", "What else the provider's model takes, as a JSON object."),
    "SEGUE_TEXT_MODEL_ID": ("see `agent.py`", "The model of `build_text_agent`."),
    "SEGUE_TOOL_ERRORS": ("`shown`", "`hidden` keeps the texts of tools' errors from the model."),
    "SEGUE_DEBUG": ("", "Set under a debugger: the event loop is not watched."),
    "OPENAI_API_KEY, GEMINI_API_KEY": ("", "The provider's key."),
    "LOG_LEVEL": ("`INFO`", "Of the log lines."),
    "POWERTOOLS_SERVICE_NAME": ("`worker`", "The metrics' dimension `service`: `segue-worker` in the stack."),
}  # fmt: skip
"""Variables that are read elsewhere than in the worker's settings: their defaults and meanings."""


def table() -> str:
    """The table: the worker's own settings from their code, and the others."""
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in worker_variables()]
    rows += [
        f"| {', '.join(f'`{each}`' for each in names.split(', '))} | {default} | {text} |"
        for names, (default, text) in OTHERS.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def worker_variables() -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each variable that the worker's settings read."""
    tree = ast.parse(SETTINGS.read_text(encoding="utf-8"))
    (environment,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Environment")
    meanings = _meanings((ast.get_docstring(environment) or "").replace("``", "`"))
    for node in environment.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        constants = _field_constants(node.value)
        name = constants.get("name", node.target.id)
        yield f"SEGUE_{str(name).upper()}", _default(constants), meanings[node.target.id]


def _field_constants(value: ast.expr | None) -> dict[str, object]:
    """Name in the environment and default of a declared field, as far as they are constants."""
    if value is None:
        return {}
    if not isinstance(value, ast.Call):
        return {"default": ast.literal_eval(value)}
    constants = {each.arg: each.value.value for each in value.keywords if isinstance(each.value, ast.Constant)}
    return {"default": None} | {str(name): constant for name, constant in constants.items()}


def _default(constants: dict[str, object]) -> str:
    if "default" not in constants:
        return "needed"
    default = "0" if constants["default"] is False else constants["default"]
    return "" if default is None else f"`{default}`"


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
