"""What a server does for a client at most; bounds are on work, for requests differ by a factor of thousands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds, all of them named in the refusal of what goes past them.

    Attributes:
        body_bytes: of one request.
        texts: in one request; client libraries send up to 2,048.
        characters: of one text, in code points.
        hits: of one search.
        request_seconds: from the first byte of a request until it is there whole.
        answer_seconds: for a client to take what is written at once.
        batch_tokens: encoded at a time, about; the text of a question waits for one such batch.
        queue_tokens: waiting to be encoded, about; what comes then is told when to come again.
        searches: at a time, waiting ones included.
        buffered_bytes: of all bodies that are being read.
        untaken_bytes: of all answers that clients have not taken yet; past it the slowest are left, but for one alone.
    """

    body_bytes: int = 2_000_000
    texts: int = 2_048
    characters: int = 8_192
    hits: int = 100
    request_seconds: float = 30
    answer_seconds: float = 120
    batch_tokens: int = 4_096
    queue_tokens: int = 1_000_000
    searches: int = 256
    buffered_bytes: int = 200_000_000
    untaken_bytes: int = 200_000_000
