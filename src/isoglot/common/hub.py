"""The Hugging Face hub, from where models and data sets may come."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit


def hub_address() -> str:
    """Where the hub is: `HF_ENDPOINT`, or its usual address."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def hub_is_reachable(seconds: float = 5.0) -> bool:
    """Whether the hub, whose client would retry for minutes, answers in time; behind a proxy it is taken to."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    address = urlsplit(hub_address())
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=seconds):
            return True
    except OSError:
        return False
