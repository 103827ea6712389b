"""Rehearse without a provider: an offline model that talks, and the tones that stand in for speech.

For development and tests, where it replaces a provider that needs an account and costs money. It is no assistant: it
answers a dozen kinds of sentence from a table.
"""

from worker.rehearsal.history import HistoryRejected
from worker.rehearsal.ledger import HeardInput
from worker.rehearsal.model import RehearsalModel
from worker.rehearsal.tones import Ear, Heard, speak

__all__ = ["Ear", "Heard", "HeardInput", "HistoryRejected", "RehearsalModel", "speak"]
