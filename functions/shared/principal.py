"""Principals: the one name that all sessions of a user are kept under."""

from __future__ import annotations

from segue.ids import principal_of

__all__ = ["principal_of"]
