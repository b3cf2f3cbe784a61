"""How many threads numpy's products of matrices take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[int]:
    """Let products take one thread each, whoever computes them; gives how many one takes otherwise.

    >>> with one_thread() as threads, one_thread() as within:
    ...     threads >= within
    True
    """
    libraries = ThreadpoolController().select(user_api="blas")
    threads = max((each["num_threads"] for each in libraries.info()), default=os.cpu_count() or 1)
    with libraries.limit(limits=1):
        yield threads
