"""Vectors that exist already: what a row is, how it is read and checked, and the maps that take language out.

Nothing here imports torch, so that a map is fitted and applied by numpy alone. docs/vectors.md is the contract.
"""
