"""Model engines on tiny random models: the right languages reach the model, and batches change nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.enrich.translation import load_engine
from isoglot.enrich.translation.model_engines import TransformersEngine, batches_by_tokens
from models import make_m2m, make_marian, make_nllb

needs_sentencepiece = pytest.mark.skipif(
    not find_spec("sentencepiece"), reason="needs pip install 'isoglot[translate]'"
)
needs_ctranslate2 = pytest.mark.skipif(not find_spec("ctranslate2"), reason="needs pip install 'isoglot[translate]'")

TEXTS = ["the house", "a", "red house is the red house is red", "b c d e f g"]


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nllb(tmp_path_factory.mktemp("nllb") / "tiny")


@pytest.fixture(scope="module")
def m2m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_m2m(tmp_path_factory.mktemp("m2m") / "tiny")


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_marian(tmp_path_factory.mktemp("marian") / "tiny", source_lang="en", target_lang="de")


@pytest.fixture(scope="module")
def marian_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "tiny"
    return make_marian(folder, ("deu", "zho_Hant", "xx99"), source_lang="eng", target_lang="mul")


def greedy(folder: Path, text: str, source: str | None, first: str | None, beams: int = 1) -> str:
    """The way the model's own documentation translates one text."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **({"src_lang": source} if source else {}))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    forced = {} if first is None else {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(first)}
    with torch.inference_mode():
        ids = model.generate(**tokenizer(text, return_tensors="pt"), num_beams=beams, max_new_tokens=12, **forced)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()


def test_nllb_says_what_its_documentation_makes_it_say(nllb: Path) -> None:
    engine = load_engine(f"transformers:{nllb}", beam_size=2, most_tokens=12)
    translations = engine.translate(TEXTS, "en", "de")
    assert translations == [greedy(nllb, text, "eng_Latn", "deu_Latn", 2) for text in TEXTS]
    assert len(set(translations)) > 1
    assert engine.translate(TEXTS, "de", "zh-TW") == [greedy(nllb, text, "deu_Latn", "zho_Hant", 2) for text in TEXTS]
    assert engine.translate(TEXTS, "en", "de") != engine.translate(TEXTS, "en", "no")
    assert engine.translate([], "en", "de") == []


def test_nllb_languages_are_standard_tags(nllb: Path) -> None:
    engine = load_engine(f"transformers:{nllb}")
    assert sorted(engine.targets("en-GB")) == ["de", "no", "zh-Hant"]
    assert engine.targets("fr") == []
    for source, target in [("en", "fr"), ("fr", "en"), ("en", "en")]:
        with pytest.raises(InputError, match=f"does not translate {source} to {target}"):
            engine.translate(["a"], source, target)


@pytest.mark.parametrize("limit", [1, 20, 1000])
def test_batches_change_no_translation(nllb: Path, limit: int) -> None:
    alone = [
        TransformersEngine(str(nllb), beam_size=2, most_tokens=12).translate([text], "en", "de")[0] for text in TEXTS
    ]
    assert (
        TransformersEngine(str(nllb), beam_size=2, most_tokens=12, batch_tokens=limit).translate(TEXTS, "en", "de")
        == alone
    )


@given(lengths=st.lists(st.integers(1, 50), max_size=40), limit=st.integers(1, 200))
def test_batches_hold_every_text_once_within_the_limit(lengths: list[int], limit: int) -> None:
    batches = list(batches_by_tokens(lengths, limit))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= limit


@needs_sentencepiece
def test_m2m_says_what_its_documentation_makes_it_say(m2m: Path) -> None:
    engine = load_engine(f"transformers:{m2m}", beam_size=2, most_tokens=12)
    assert engine.translate(TEXTS, "en", "de") == [greedy(m2m, text, "en", "__de__", 2) for text in TEXTS]
    assert {"de", "fr", "zh", "sw"} <= set(engine.targets("en"))
    assert len(engine.targets("en")) > 90


@needs_sentencepiece
def test_marian_takes_plain_text(marian: Path) -> None:
    engine = load_engine(f"transformers:{marian}", beam_size=1, most_tokens=12)
    assert engine.targets("en") == ["de"]
    assert engine.targets("de") == []
    translations = engine.translate(TEXTS, "en", "de")
    assert translations == [greedy(marian, text, None, None) for text in TEXTS]
    assert len(set(translations)) > 1


@needs_sentencepiece
def test_marian_for_many_targets_is_told_which(marian_many: Path) -> None:
    engine = load_engine(f"transformers:{marian_many}", beam_size=1, most_tokens=12)
    assert engine.targets("en") == ["de", "zh-Hant"]
    told = [greedy(marian_many, f">>deu<< {text}", None, None) for text in TEXTS]
    assert engine.translate(TEXTS, "en", "de") == told
    assert told != [greedy(marian_many, text, None, None) for text in TEXTS]


@needs_sentencepiece
def test_a_marian_model_that_does_not_say_its_languages_is_refused(tmp_path: Path) -> None:
    folder = make_marian(tmp_path / "tiny")
    with pytest.raises(InputError, match=r'no target language in its tokenizer_config\.json; add "source_lang"'):
        load_engine(f"transformers:{folder}")


def converted(folder: Path, out: Path, **settings: Any) -> Path:
    from ctranslate2.converters import TransformersConverter

    names = [path.name for path in folder.iterdir() if path.name not in ("config.json", "model.safetensors")]
    TransformersConverter(str(folder), copy_files=names, **settings).convert(str(out))
    return out


@needs_ctranslate2
def test_ctranslate2_says_what_transformers_says_for_nllb(nllb: Path, tmp_path: Path) -> None:
    engine = load_engine(
        f"ctranslate2:{converted(nllb, tmp_path / 'ct2')}", beam_size=1, most_tokens=12, batch_tokens=30, device="cpu"
    )
    slow = load_engine(f"transformers:{nllb}", beam_size=1, most_tokens=12)
    assert sorted(engine.targets("en")) == sorted(slow.targets("en"))
    for target in ("de", "zh-TW", "no"):
        fast = engine.translate(TEXTS, "en", target)
        for one, other in zip(fast, slow.translate(TEXTS, "en", target), strict=True):
            length = min(len(one), len(other))  # the two count the first token differently
            assert one[:length] == other[:length]
            assert length or one == other


@needs_ctranslate2
@needs_sentencepiece
@pytest.mark.parametrize("family", ["marian", "marian_many"])
def test_ctranslate2_says_what_transformers_says(family: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    engine = load_engine(
        f"ctranslate2:{converted(folder, tmp_path / 'ct2')}", beam_size=1, most_tokens=12, device="cpu"
    )
    slow = load_engine(f"transformers:{folder}", beam_size=1, most_tokens=12)
    for one, other in zip(engine.translate(TEXTS, "en", "de"), slow.translate(TEXTS, "en", "de"), strict=True):
        length = min(len(one), len(other))
        assert one[:length] == other[:length]
        assert length or one == other


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("transformers:", "no engine"),
        ("transformers:/no/such/folder", "cannot be loaded .+; give a folder or a hub id of a model"),
        ("apertium:eng-spa", "no engine .+; there are apertium, ctranslate2:FOLDER, transformers:MODEL, http://"),
        ("deepl", "no engine .deepl.; there are apertium"),
    ],
)
def test_no_such_engine_or_model_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_engine(spec)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_kind_is_refused(tiny_encoder_folder: Path) -> None:
    with pytest.raises(InputError, match="no NLLB-200, M2M-100 or OPUS-MT tokenizer"):
        load_engine(f"transformers:{tiny_encoder_folder}")


@needs_ctranslate2
def test_a_folder_without_a_converted_model_is_refused(nllb: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model\.bin; make the folder with ct2-transformers-converter"):
        load_engine(f"ctranslate2:{nllb}")


@pytest.mark.skipif(bool(find_spec("ctranslate2")), reason="CTranslate2 is installed")
def test_ctranslate2_missing_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[translate\]'"):
        load_engine(f"ctranslate2:{tmp_path}")
