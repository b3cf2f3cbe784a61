"""How often the language of a text is found out, on the questions and sentences of XQuAD-R.

    python bench/identification.py [--data DIR]

DIR holds XQuAD-R; it is fetched if not given. Prints for questions and for sentences the share that is right, the
share that stays without a language, the commonest mistakes and texts per second.
"""

import argparse
import time
from collections import Counter

import numpy as np
import pyarrow as pa

from isoglot import load_benchmark
from isoglot.common.languages import LanguageCodes
from isoglot.encoding.identification import identified


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    pool = load_benchmark("xquad-r", parser.parse_args().data)
    for what, texts, languages in (
        ("questions", pool.query_texts, pool.query_language),
        ("sentences", pool.passage_texts, pool.passage_language),
    ):
        start = time.perf_counter()
        column = pa.array(list(texts), pa.large_string())
        codes = identified(pa.nulls(len(column), pa.large_string()), column).to_pylist()
        seconds = time.perf_counter() - start
        tags = LanguageCodes.of(codes).tags
        pairs = [(pool.languages[n], tags[code]) for n, code in zip(languages, codes, strict=True)]
        right, none = np.mean([a == b for a, b in pairs]), np.mean([b is None for _, b in pairs])
        wrong = Counter((a, b) for a, b in pairs if b not in (a, None))
        said = ", ".join(f"{a} taken for {b} {count}" for (a, b), count in wrong.most_common(3))
        print(f"{len(pairs):,} {what}: {right:.1%} right, {none:.1%} without, {wrong.total() / len(pairs):.1%} wrong")
        print(f"  {said}; {len(pairs) / seconds:,.0f} texts a second")


if __name__ == "__main__":
    main()
