from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from command import run
from isoglot.common.errors import InputError
from isoglot.models.debiasing import debias
from isoglot.models.encoders import load_encoder
from isoglot.models.trimming import trim
from isoglot.models.vocabulary import Vocabulary, script_pattern
from isoglot.pairs import ParallelPairs, read_pairs
from shared_data import SHARED_DATA

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LINES = [
    "der rote Vogel baut im Winter ein Haus aus Stein",
    "the red bird builds a house of stone in winter",
    "el pájaro rojo construye una casa de piedra en invierno",
    "красная птица строит зимой каменный дом",
    "το κόκκινο πουλί χτίζει ένα σπίτι από πέτρα",
    "红色的鸟在冬天用石头盖房子",
    "the reader reads redder bread, under the winter weather; newer and lower rivers",
    "Häuser, Bäume und Flüsse: Wasserfälle, Feuerwolken, Steinbrüche",
] * 3
WORDS = sorted({word for line in LINES for word in line.split()})
CLASSES = {
    "Unigram": "XLMRobertaTokenizer",
    "BPE": "PreTrainedTokenizerFast",
    "bytes": "RobertaTokenizer",
    "WordPiece": "BertTokenizer",
}
"""Kinds of tokenizers, and the classes that hold them; all but one build their tokenizer anew when they load it."""
KINDS = list(CLASSES)


def tokenizer_of(kind: str) -> Tokenizer:
    """A tokenizer of each kind, trained on the lines; `bytes` is BPE over bytes."""
    post = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    if kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=320, special_tokens=SPECIAL, unk_token="<unk>")
    elif kind == "BPE":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL)
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet)
        post = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = post
    tokenizer.add_special_tokens(["<mask>"])
    return tokenizer


def encoder_of(kind: str, folder: Path) -> SentenceTransformer:
    """A tiny encoder with random weights; its RoBERTa counts positions from the padding token, its BERT does not."""
    tokenizer = tokenizer_of(kind)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    rows = tokenizer.get_vocab_size() + 7  # as models have whose table is padded to a round number
    if kind == "WordPiece":
        BertModel(BertConfig(vocab_size=rows, pad_token_id=1, **sizes)).save_pretrained(folder)
    else:
        config = RobertaConfig(vocab_size=rows, max_position_embeddings=130, type_vocab_size=1, **sizes)
        RobertaModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    settings_ = {"tokenizer_class": CLASSES[kind], "model_max_length": 128}
    settings_ |= {f"{name}_token": token for name, token in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings_))
    return SentenceTransformer(
        modules=[Transformer(str(folder)), Pooling(32, "mean"), Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    ).eval()


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SentenceTransformer]:
    return {kind: encoder_of(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def pieces(model: SentenceTransformer, text: str) -> list[str]:
    names: list[str] = model.tokenizer.convert_ids_to_tokens(model.tokenizer(text)["input_ids"])
    return names


def table(model: SentenceTransformer) -> Any:
    return model[0].auto_model.get_input_embeddings()


some_texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=4)
odd_texts = st.text(st.sampled_from("abdeinorstuwHä птица από红鸟0.,-🎉\n"), min_size=1).filter(str.strip)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(texts=st.one_of(some_texts, st.lists(odd_texts, min_size=1, max_size=4)), spare=st.sampled_from([0, 20]))
def test_given_text_keeps_its_pieces_and_its_embeddings(
    encoders: dict[str, SentenceTransformer], kind: str, texts: list[str], spare: int
) -> None:
    model = encoders[kind]
    trimmed, report = trim(model, texts, spare=spare)
    for text in texts:
        for prompt in ("", "query: ", "passage: "):
            assert pieces(trimmed, prompt + text) == pieces(model, prompt + text)
    for name in (None, "query", "document"):
        old, new = (part.encode(texts, prompt_name=name) for part in (model, trimmed))
        assert new == pytest.approx(old, abs=1e-6)
    assert report.rows_after == len(table(trimmed).weight) < report.rows_before == len(table(model).weight)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_same_pieces(encoders: dict[str, SentenceTransformer], kind: str) -> None:
    model = encoders[kind]
    trimmed, _ = trim(model, LINES[:2], spare=10)
    old, new = model.tokenizer.get_vocab(), trimmed.tokenizer.get_vocab()
    assert sorted(new.values()) == list(range(len(table(trimmed).weight)))
    assert new.keys() < old.keys()
    for piece, number in new.items():
        assert torch.equal(table(trimmed).weight[number], table(model).weight[old[piece]])
    for name in ("pad", "unk", "mask", "cls", "sep"):
        token = getattr(model.tokenizer, f"{name}_token")
        assert getattr(trimmed.tokenizer, f"{name}_token_id") == new[token]
    assert trimmed.tokenizer.pad_token_id == table(trimmed).padding_idx == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_trimmed_model_is_an_ordinary_one(
    encoders: dict[str, SentenceTransformer], kind: str, tmp_path: Path
) -> None:
    model = encoders[kind]
    trimmed, report = trim(model, LINES[:3], spare=0)
    trimmed.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    again = load_encoder(tmp_path / "m", device="cpu")
    assert again.encode(LINES) == pytest.approx(trimmed.encode(LINES), abs=1e-6)
    assert again.encode(LINES[:3]) == pytest.approx(model.encode(LINES[:3]), abs=1e-6)
    assert again[0].auto_model.config.vocab_size == report.rows_after
    assert again.prompts["query"] == "query: "
    saved = sum((tmp_path / "m" / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    assert report.megabytes_after == pytest.approx(saved / 1e6, abs=0.12)
    assert report.parameters_before - report.parameters_after == 32 * (report.rows_before - report.rows_after)
    assert report.as_dict()["rows_after"] == report.rows_after
    assert f"{report.rows_after:,} of {report.rows_before:,}" in report.sentences()[0]


@pytest.mark.parametrize("kind", KINDS)
def test_text_not_seen_stays_readable(encoders: dict[str, SentenceTransformer], kind: str) -> None:
    model = encoders[kind]
    trimmed, _ = trim(model, ["bird"], spare=0)
    for line in LINES:
        assert model.tokenizer.unk_token not in pieces(trimmed, line)


@pytest.mark.parametrize("kind", KINDS)
def test_more_spare_pieces_change_less_text(encoders: dict[str, SentenceTransformer], kind: str) -> None:
    model = encoders[kind]
    reports = [trim(model, LINES[:1] * 2 + WORDS[::2], spare=spare)[1] for spare in (0, 30, 10_000)]
    rows = [report.rows_after for report in reports]
    changed = [report.unseen_changed or 0.0 for report in reports]
    assert rows == sorted(rows)
    assert changed == sorted(changed, reverse=True)
    assert changed[0] > 0
    assert len({report.rows_needed for report in reports}) == 1
    assert reports[0].rows_needed == reports[0].rows_after


def test_the_estimate_does_not_hang_on_the_order_of_texts(encoders: dict[str, SentenceTransformer]) -> None:
    """Every tenth text is a word not seen elsewhere, as of one language in ten by turns; the others are letters."""
    letters = [" ".join(three) for three in product("abdeinorst", repeat=3)]
    texts = [WORDS[n // 10] if n % 10 == 9 else letters[n] for n in range(200)]
    assert 0 < (trim(encoders["BPE"], texts, spare=0)[1].unseen_changed or 0) < 0.5


def test_the_lowest_score_stays_so_that_unknown_characters_cost_what_they_did(
    encoders: dict[str, SentenceTransformer],
) -> None:
    backend = encoders["Unigram"].tokenizer.backend_tokenizer
    vocabulary = Vocabulary(backend, backend.get_vocab_size(), 1)
    order = vocabulary.kept(np.zeros(vocabulary.rows, bool), 0, [])
    old, new = vocabulary.model["vocab"], json.loads(vocabulary.rebuilt(order))["model"]["vocab"]
    assert len(new) < len(old)
    assert min(score for _, score in new) == min(score for _, score in old)


def test_scripts_are_kept_whole(encoders: dict[str, SentenceTransformer]) -> None:
    trimmed, _ = trim(encoders["Unigram"], ["bird"], spare=0, keep_all_of=["ru", "zh-TW"])
    for line in (LINES[3], LINES[5]):
        assert pieces(trimmed, line) == pieces(encoders["Unigram"], line)
    assert pieces(trimmed, LINES[4]) != pieces(encoders["Unigram"], LINES[4])


@pytest.mark.parametrize(
    ("language", "inside", "outside"),
    [
        ("el", ["σπίτι", "5 ώρες", "ά"], ["house", "5", "πi", ""]),
        ("ja", ["日本", "ひら", "カタ"], ["한국", "abc", "!"]),
        ("hi", ["घर", "क्या"], ["ghar", "12"]),
    ],
)
def test_a_script_is_its_letters_with_signs_between(language: str, inside: list[str], outside: list[str]) -> None:
    pattern = script_pattern(language)
    assert all(pattern.fullmatch(text) for text in inside)
    assert not any(pattern.fullmatch(text) for text in outside)


def test_pairs_give_queries_passages_and_negatives(encoders: dict[str, SentenceTransformer]) -> None:
    rows = [
        {"id": "1", "language": "de", "query": "Vogel", "passage": "Winter", "negatives": ["Stein"]},
        {"id": "1", "language": "en", "query": None, "passage": "house"},
    ]
    by_pairs, report = trim(encoders["Unigram"], ParallelPairs.from_rows(rows), spare=0)
    by_texts, _ = trim(encoders["Unigram"], ["Vogel", "Winter", "house", "Stein"], spare=0)
    assert by_pairs.tokenizer.get_vocab() == by_texts.tokenizer.get_vocab()
    assert report.texts == 4
    assert report.unseen_changed is None


def test_the_given_model_is_left_as_it_is_and_shares_nothing(encoders: dict[str, SentenceTransformer]) -> None:
    model = encoders["Unigram"]
    before = model.encode(LINES)
    trimmed, _ = trim(model, LINES[:1], spare=0)
    with torch.no_grad():
        for parameter in trimmed.parameters():
            parameter.zero_()
    assert model.encode(LINES) == pytest.approx(before, abs=0)
    assert len(model.tokenizer) > len(trimmed.tokenizer)


def test_what_is_frozen_and_what_a_model_ends_in_stays(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    model = debias(tiny_encoder, pairs, directions=3)
    table(model).weight.requires_grad_(False)
    trimmed, _ = trim(model, pairs.filter_languages(["de"]), spare=0)
    assert [p.requires_grad for p in trimmed.parameters()] == [p.requires_grad for p in model.parameters()]
    trimmed.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    texts = [text for text in pairs.filter_languages(["de"]).texts("passage") if text]
    assert load_encoder(tmp_path / "m").encode(texts) == pytest.approx(model.encode(texts), abs=1e-6)


def test_a_trimmed_model_trains(encoders: dict[str, SentenceTransformer]) -> None:
    trimmed, _ = trim(encoders["bytes"], LINES, spare=0)
    features = trimmed.tokenize(LINES[:4])
    trimmed(features)["sentence_embedding"].sum().backward()
    assert table(trimmed).weight.grad.shape == table(trimmed).weight.shape


def test_what_cannot_be_trimmed_is_refused_in_one_line(
    encoders: dict[str, SentenceTransformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = encoders["Unigram"]
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer_of("WordPiece"), embedding_dim=8)], device="cpu")
    cases: list[tuple[SentenceTransformer, Any, dict[str, Any], str]] = [
        (model, [], {}, "there is no text"),
        (model, [" ", ""], {}, "there is no text"),
        (model, "one text", {}, "give a list of texts"),
        (model, ["text"], {"spare": -1}, "spare -1: 0 pieces or more"),
        (model, ["text"], {"keep_all_of": ["klingonisch"]}, "unknown language"),
        (static, ["text"], {}, "begins with StaticEmbedding cannot be trimmed"),
    ]
    for part, texts, options, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            trim(part, texts, **options)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(model[0].auto_model, "_hf_peft_config_loaded", True)
    with pytest.raises(InputError, match="merge it first"):
        trim(model, ["text"])


def test_the_command_writes_a_model_and_says_what_it_saved(
    tiny_encoder_folder: Path,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = [tiny_encoder_folder, "--pairs", pairs_file, "--languages", "de", "--spare", "0", "--out"]
    assert run(monkeypatch, "trim", *call, tmp_path / "a", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    trimmed = load_encoder(tmp_path / "a", device="cpu")
    assert len(table(trimmed).weight) == report["rows_after"] < report["rows_before"]
    pairs = read_pairs(pairs_file).filter_languages(["de"])
    texts = list({text for column in ("query", "passage") for text in pairs.texts(column) if text})
    assert report["texts"] == len(texts)
    assert trimmed.encode(texts) == pytest.approx(load_encoder(tiny_encoder_folder).encode(texts), abs=1e-6)
    assert run(monkeypatch, "trim", *call, tmp_path / "b", "--keep-all-of", "en") == 0
    said = capsys.readouterr().out.replace("\n", " ")
    rows = len(table(load_encoder(tmp_path / "b", device="cpu")).weight)
    assert f"Kept {rows:,} of {report['rows_before']:,} pieces" in said
    assert rows > report["rows_after"]
    assert str(tmp_path / "b") in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["MODEL", "--pairs", "PAIRS", "--out", "there"], "exists already"),
        (["MODEL", "--pairs", "nowhere.jsonl", "--out", "out"], "nowhere.jsonl"),
        (["MODEL", "--pairs", "PAIRS", "--out", "out", "--languages", "fr"], "fr"),
        (["MODEL", "--pairs", "PAIRS", "--out", "out", "--spare", "-1"], "spare -1"),
        (["MODEL", "--pairs", "PAIRS", "--out", "out", "--spare", "some"], "--spare"),
        (["MODEL", "--pairs", "PAIRS", "--out", "out", "--keep-all-of", "klingonisch"], "klingonisch"),
        (["MODEL", "--pairs", "PAIRS"], "--out"),
        (["there", "--pairs", "PAIRS", "--out", "out"], "not a model folder"),
        (["STATIC", "--pairs", "PAIRS", "--out", "out"], "begins with StaticEmbedding cannot be trimmed"),
    ],
)
def test_bad_calls_are_one_line_exit_code_2_and_write_nothing(
    words: list[str],
    said: str,
    tiny_encoder_folder: Path,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    static = StaticEmbedding(tokenizer_of("WordPiece"), embedding_dim=8)
    SentenceTransformer(modules=[static], device="cpu").save_pretrained("static", create_model_card=False)
    before = sorted(tmp_path.rglob("*"))
    named = {"MODEL": str(tiny_encoder_folder), "PAIRS": str(pairs_file), "STATIC": "./static"}
    assert run(monkeypatch, "trim", *[named.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("isoglot: ")
    assert error.count("\n") == 1, error
    assert said in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")), "a WordLevel tokenizer cannot be trimmed"),
        (Tokenizer(models.BPE({"a</w>": 0}, [], end_of_word_suffix="</w>")), "marks parts of words"),
        (Tokenizer(models.BPE({"a": 3}, [])), "more pieces than the model's 2 word embeddings"),
    ],
)
def test_tokenizers_of_other_kinds_are_refused(tokenizer: Tokenizer, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary(tokenizer, 2, None)


def test_a_model_that_reads_more_from_numbers_than_embeddings_is_refused(
    encoders: dict[str, SentenceTransformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = encoders["WordPiece"]

    def shifted(module: torch.nn.Module, arguments: Any, keywords: Any) -> Any:
        ids = keywords["input_ids"]
        return arguments, {**keywords, "token_type_ids": ids % 2}

    hook = model[0].auto_model.embeddings.register_forward_pre_hook(shifted, with_kwargs=True)
    try:
        with pytest.raises(InputError, match="more with the numbers of its pieces"):
            trim(model, LINES[:6], spare=0)  # enough pieces that some move by an odd number
    finally:
        hook.remove()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(
    not (SHARED_DATA / "flores200").is_dir(),
    reason="the size is of a vocabulary for FLORES-200, which is not part of the project; a checkout may lie beside it",
)
def test_the_real_encoder_falls_under_200_mb_and_embeds_the_same(tmp_path: Path) -> None:
    folder = SHARED_DATA / "flores200"
    names = "arb_Arab deu_Latn ell_Grek eng_Latn spa_Latn hin_Deva rus_Cyrl tha_Thai tur_Latn vie_Latn zho_Hans"
    texts = [line for name in names.split() for line in (folder / f"{name}.txt").read_text("utf-8").splitlines()]
    model = load_encoder("builtin:multilingual-e5-small", device="cpu")
    trimmed, report = trim(model, texts)
    trimmed.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    assert sum(file.stat().st_size for file in (tmp_path / "m").rglob("*")) < 200e6
    again = load_encoder(tmp_path / "m", device="cpu")
    some = texts[::500]
    assert again.encode(some) == pytest.approx(model.encode(some), abs=1e-6)
    assert report.largest_difference < 1e-6
