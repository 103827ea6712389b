"""Writer of docs/configuration.md, from the settings themselves.

.venv/bin/python -m infra.configuration_page
"""

from __future__ import annotations

from typing import Any, Final

from pydantic.fields import FieldInfo

from infra.config import DEFAULT_MODEL_ID, DEFAULT_TEXT_MODEL_ID, local_defaults
from infra.constants import ROOT
from infra.setting_fields import allowed_values
from infra.settings import GROUPS

PAGE: Final = ROOT / "docs" / "configuration.md"
COMMAND: Final = ".venv/bin/python -m infra.configuration_page"

_HEAD: Final = f"""\
# Configuration

<!-- Written by `{COMMAND}`; a test fails if it is not current. Edit infra/settings.py instead. -->

Reference for operators: every setting of a deployment, on the command line or under `context` in `cdk.json`. The
command line wins:

```sh
npx cdk deploy --all -c stage=prod -c worker_count=4
```

```json
{{ "context": {{ "stage": "prod", "worker_count": 4 }} }}
```

`-c stage=prod` chooses the settings under `stages.prod`; a stage without an entry is refused. A setting beside
`stages` holds for every stage and wins, so put each into one of the two:

```json
{{ "context": {{ "log_level": "INFO", "stages": {{ "dev": {{}}, "prod": {{ "worker_count": 4 }} }} }} }}
```

An impossible value ends the synthesis with its name and what is allowed, an unknown name with the nearest known one.
Each stage has stacks of its own, `Segue-<stage>-Data`, `Segue-<stage>-Web` and `Segue-<stage>-Service`, so stages can
share an account. [deploy.md](deploy.md) has whole examples. Numbers are whole.
"""

_OTHERS: Final = {
    "model_id": DEFAULT_MODEL_ID,
    "text_model_id": DEFAULT_TEXT_MODEL_ID,
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(group) for group in GROUPS), _local()])


def _section(group: type[Any]) -> str:
    rows = [_row(field.alias or name, field) for name, field in group.model_fields.items()]
    head = ["| setting | default | allowed | |", "|---|---|---|---|"]
    return "\n".join([f"## {group.__name__}", "", *head, *rows, ""])


def _markdown(docstring: str) -> str:
    """Return a docstring with code spans as Markdown has them."""
    return docstring.replace("``", "`")


def _row(name: str, field: FieldInfo) -> str:
    description = _markdown(" ".join((field.description or "").split()))
    allowed = allowed_values(field).removeprefix("a whole number from ").replace("|", "\\|")
    return f"| `{name}` | {_default(name, field)} | {allowed} | {description} |"


def _default(name: str, field: FieldInfo) -> str:
    if name in _OTHERS:
        by_model: dict[str, list[str]] = {}
        for provider, model in _OTHERS[name].items():
            by_model.setdefault(model, []).append(provider)
        return ", ".join(f"with {' or '.join(providers)}: `{model}`" for model, providers in by_model.items())
    return "" if field.default is None else f"`{field.default}`"


def _local() -> str:
    values = {**local_defaults(), "architecture": "this machine's"}
    rows = [f"| `{name}` | {value if name == 'architecture' else f'`{value}`'} |" for name, value in values.items()]
    head = ["| setting | default |", "|---|---|"]
    text = "Other defaults of the emulator's stage `local`:"
    return "\n".join(["## The stage local", "", text, "", *head, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
