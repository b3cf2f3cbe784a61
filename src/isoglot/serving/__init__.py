"""A search, or a model alone, over HTTP: the embeddings endpoint that client libraries know, searching, and a page.

Nothing here imports torch: what encodes and what searches is given.
"""
