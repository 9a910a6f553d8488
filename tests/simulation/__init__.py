"""Deterministic simulation: the real services over in-memory outside systems, on a virtual clock, by seed."""
