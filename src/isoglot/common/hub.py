"""The Hugging Face hub, from where models and data sets may come."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from isoglot.common.errors import InputError

_YES = frozenset({"1", "ON", "YES", "TRUE"})  # to the hub's client, which not every installation has
_PORTS = {"http": 80, "https": 443}


def hub_address() -> str:
    """Where the hub is: `HF_ENDPOINT`, or its usual address."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def hub_is_off() -> bool:
    """Whether the environment says that the hub is not to be asked, as its client reads it."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in _YES


def hub_is_reachable(seconds: float = 5.0) -> bool:
    """Whether the hub, whose client would retry for minutes, answers in time; behind a proxy it is taken to.

    Raises:
        InputError: if `HF_ENDPOINT` is no address.
    """
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        with socket.create_connection(_host_and_port(hub_address()), timeout=seconds):
            return True
    except OSError:
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        if parts.hostname and parts.scheme in _PORTS:
            return parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:  # of a port that is none, or a bracket left open
        pass
    raise InputError(f"HF_ENDPOINT={address}: not an address; write it like https://huggingface.co, or unset it")
