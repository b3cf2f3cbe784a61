"""Corpora to vectors: files of texts are checked, cut into shards and encoded, on this machine or on a cluster.

Nothing here imports torch: an encoder is given, or a function that loads one. docs/encoding.md is the page for users.
"""
