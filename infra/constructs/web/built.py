"""The page to talk on, as ``make web`` builds it."""

from __future__ import annotations

from pathlib import Path

from infra.config import Config
from infra.constants import WEB_PAGE


class PageMissingError(RuntimeError):
    """Raised when the page is not built: do what the message says and synthesize again."""


def built_page(config: Config, folder: Path = WEB_PAGE) -> Path | None:
    """The folder of the built page; None if the deployment leaves the page out.

    Args:
        config: The deployment.
        folder: Where the page is built.

    Raises:
        PageMissingError: It is not built.
    """
    if not config.page:
        return None
    if not (folder / "index.html").is_file():
        raise PageMissingError("the web page is not built: run `make web`, or leave it out with `-c web=false`")
    return folder
