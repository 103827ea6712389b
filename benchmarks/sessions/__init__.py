"""Segue's session manager beside those of Strands."""
