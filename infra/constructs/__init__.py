"""The constructs, one capability each."""
