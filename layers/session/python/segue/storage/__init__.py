"""Where sessions are kept: one interface for the guard, one for objects, and their implementations."""
