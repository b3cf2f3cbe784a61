"""Tiny translation models with random weights, made on the spot, in the layouts of the hub."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration, MarianConfig, MarianMTModel, NllbTokenizer

CODES = ["eng_Latn", "deu_Latn", "zho_Hant", "nob_Latn"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "init_std": 1.0,  # with less a random model says the same to everything
}


def make_nllb(folder: Path) -> Path:
    """NLLB-200's tokenizer and M2M-100's architecture, which it has."""
    vocab = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS])}
    tokenizer = NllbTokenizer(vocab=vocab, merges=[], additional_special_tokens=CODES)
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **SIZES
    )
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sentencepiece(path: Path) -> list[str]:
    """A model of letters and a few words; its pieces."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{LETTERS} {LETTERS[::-1]}", "the house is red", "das haus ist rot"] * 9),
        model_writer=path.open("wb"),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(number) for number in range(3, model.get_piece_size())]


def make_marian(folder: Path, targets: tuple[str, ...] = (), **languages: str) -> Path:
    """OPUS-MT for one pair, or with `>>xx<<` tokens for several targets."""
    folder.mkdir()
    pieces = _sentencepiece(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    tokens = ["</s>", "<unk>", *pieces, *(f">>{target}<<" for target in targets), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer", **languages}))
    pad = len(tokens) - 1
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=len(tokens),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
        **SIZES,
    )
    model = MarianMTModel(config)
    model.generation_config.bad_words_ids = [[pad]]
    model.save_pretrained(folder)
    return folder


def make_m2m(folder: Path) -> Path:
    """M2M-100: a SentencePiece model and tokens such as `__de__` after the vocabulary."""
    folder.mkdir()
    pieces = _sentencepiece(folder / "sentencepiece.bpe.model")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "M2M100Tokenizer"}))
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokens) + 108,  # 100 languages and 8 made-up words
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        **SIZES,
    )
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder
