"""What a text is in a search: what is asked, or what is found."""

from __future__ import annotations

from typing import Literal

Role = Literal["query", "passage"]
