"""Meters, figures, prices and targets that every benchmark uses."""
