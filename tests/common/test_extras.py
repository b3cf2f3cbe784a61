"""What a plain install does, and what it says where torch is wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isoglot.common.errors import MissingExtraError
from isoglot.common.extras import naming_extra

TESTS = Path(__file__).parents[1]
WITHOUT_TORCH = """
import sys
from isoglot.common.extras import WITH_TORCH
class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in WITH_TORCH:
            raise ModuleNotFoundError(f"No module named {name}", name=name)
sys.meta_path.insert(0, NotInstalled)
"""
PLAIN = """
import isoglot
for name in ("audit_vectors verdict debias_vectors open_vectors open_corpus encode_corpus build_index open_index "
             "load_text_encoder ApiEncoder ExportedEncoder load_pairs load_benchmark plan_batches load_engine "
             "translate load_results compare save_report").split():
    getattr(isoglot, name)
import isoglot.evaluation.trec
"""
COMMANDS = """
sys.path[:0] = [{tests!r}, {tests!r} + "/vectors"]
from pathlib import Path
import pytest
from command import run
from toy import toy, write
made = str(write(Path("v.parquet"), toy()))
Path("train.yaml").write_text("model: a\\n")
with pytest.MonkeyPatch.context() as patch:
    codes = [run(patch, *words.split()) for words in (
        "audit --vectors v.parquet --query-vectors v.parquet --out audit --json",
        "debias --vectors v.parquet --out debiased",
        "index v.parquet --out index",
        "compare audit audit/results.json --json",
        "train train.yaml",
        "encode v.parquet --model ./none --out encoded",
    )]
print(codes, Path("encoded").exists())
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_vectors_indexes_and_results_need_no_torch(tmp_path: Path) -> None:
    assert python(WITHOUT_TORCH + PLAIN, tmp_path).stderr == ""


def test_commands_without_torch_work_or_name_the_extra(tmp_path: Path) -> None:
    done = python(WITHOUT_TORCH + COMMANDS.format(tests=str(TESTS)), tmp_path)
    assert done.stdout.splitlines()[-1:] == ["[0, 0, 0, 0, 2, 2] False"], done.stderr
    said = done.stderr.splitlines()[-2:]
    assert [line.partition(" is not")[2] for line in said] == 2 * [
        " installed; an extra has it: pip install 'isoglot[torch]'"
    ]


def test_other_missing_modules_are_faults() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere") as caught, naming_extra():
        import nowhere  # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)
