"""Faults on purpose: real processes, real protocols, and a checker that looks from outside."""
