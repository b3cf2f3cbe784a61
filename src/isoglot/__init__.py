"""isoglot trains and audits multilingual retrievers that rank by meaning, not by language.

Everything that a program needs stands here: the verbs of the command line (`load_pairs`, `train`, `evaluate`, `audit`,
`debias`, ...), the parts that a sentence-transformers user takes over (the sampler, the losses, the evaluator) and the
errors. The stub beside this file says what each name is and where it lives; the module behind a name is imported when
the name is first used, because the libraries below take seconds.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

from isoglot._version import __version__
from isoglot.common.extras import naming_extra

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *__all__]


def __getattr__(name: str) -> Any:
    with naming_extra():
        return _import(name)
