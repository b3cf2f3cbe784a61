"""Where the hub is, and whether it is to be asked."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from isoglot.common.errors import InputError
from isoglot.common.hub import hub_is_off, hub_is_reachable


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("", ("huggingface.co", 443)),
        ("https://mirror/hub", ("mirror", 443)),
        ("http://mirror", ("mirror", 80)),
        ("HTTP://mirror:8080", ("mirror", 8080)),
        ("http://[::1]", ("::1", 80)),
    ],
)
def test_the_hub_is_asked_at_the_port_of_its_scheme(
    monkeypatch: pytest.MonkeyPatch, address: str, asked: tuple[str, int]
) -> None:
    calls = []

    def connect(place: tuple[str, int], timeout: float) -> nullcontext[None]:
        calls.append(place)
        return nullcontext()

    monkeypatch.setattr("socket.create_connection", connect)
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert hub_is_reachable()
    assert calls == [asked]


@pytest.mark.parametrize(
    "address", ["mirror", "mirror:8080", "http://", "http://mirror:x", "https://m:99999", "http://[1"]
)
def test_what_is_no_address_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(
        InputError, match=r"^HF_ENDPOINT=.*: not an address; write it like https://huggingface\.co"
    ) as caught:
        hub_is_reachable()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "is_off"),
    [("1", True), ("on", True), ("Yes", True), ("TRUE", True), ("", False), ("0", False), ("off", False), ("2", False)],
)
def test_the_hub_is_off_as_its_client_reads_it(monkeypatch: pytest.MonkeyPatch, said: str, is_off: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", said)
    assert hub_is_off() is is_off
