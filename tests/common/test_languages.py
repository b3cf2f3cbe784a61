import builtins
from typing import Any

import pytest

from isoglot.common.errors import InputError
from isoglot.common.languages import language_name, normalize_language


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("de", "de"),
        ("EN", "en"),
        ("zh_cn", "zh-CN"),
        ("pt_BR", "pt-BR"),
        ("zh-Hans-CN", "zh-CN"),
        ("zh-Hant", "zh-Hant"),
        ("deu_Latn", "de"),
        ("zho_Hans", "zh"),
        ("arb_Arab", "ar"),
        ("arz_Arab", "arz"),
        ("swh_Latn", "sw"),
        ("zho-CN", "zh-CN"),
        ("deu", "de"),
        ("ger", "de"),
        ("nob", "no"),
        ("nb_NO", "no-NO"),
        ("nno_Latn", "nn"),
        ("aka_Latn", "ak"),
        ("twi_Latn", "tw"),
        ("zh-CHS", "zh"),
        ("zh_cht", "zh-Hant"),
        ("be-x-old", "be-tarask"),
        ("bat-smg", "sgs"),
        ("en-simple", "en"),
        ("zh-yue", "yue"),
        ("kor_Hang", "ko"),
    ],
)
def test_every_way_to_write_a_language_has_one_tag(code: str, tag: str) -> None:
    assert normalize_language(code) == tag
    assert normalize_language(tag) == tag


@pytest.mark.parametrize(
    "code",
    ["xx", "qaa", "", "und", "x-foo", "German", "README", "sr@latin", "12", "mul", "zh-xyz", "en-x-own", "roa-tara"],
)
def test_what_is_no_language_is_named(code: str) -> None:
    with pytest.raises(InputError, match=rf'unknown language "{code}"; give a BCP 47 tag such as "de"'):
        normalize_language(code)


def test_no_two_codes_of_a_collection_are_one_language() -> None:
    """The codes of NLLB's models are FLORES-200's but for two."""
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    codes = {*FAIRSEQ_LANGUAGE_CODES, "arb_Latn", "min_Arab"}
    assert len({normalize_language(code) for code in codes}) == len(codes) == 204


def test_a_name_falls_back_to_the_tag_without_language_data(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_names(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("language_data"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_names)
    assert language_name("DE") == "de"


def test_a_name_is_english() -> None:
    pytest.importorskip("language_data", reason="names need the language_data package")
    assert language_name("deu_Latn") == "German"
