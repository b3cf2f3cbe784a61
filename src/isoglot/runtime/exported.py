"""Models that `export` wrote, run without torch: onnxruntime, OpenVINO or CTranslate2, and tokenizers alone.

A folder says in its manifest what it computes: prompts, token limit, similarity, and the fingerprint of the weights.
Where its vectors are those of the model that was exported, the fingerprint is that model's, so that one may encode what
the other searches; where arithmetic is coarser, as with 8-bit integers, it is another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.common.extras import library
from isoglot.common.paths import expanded_path
from isoglot.common.roles import Role
from isoglot.vectors.provenance import Provenance

ExportFormat = Literal["onnx", "openvino", "ctranslate2", "tei"]
_Run = Callable[[IntArray, IntArray], FloatArray]
"""Numbers of tokens and which of them count, both `(texts, tokens)`, to vectors `(texts, dimensions)`."""

EXPORT_MANIFEST = "isoglot_export.json"
ONNX_FILE = "onnx/model.onnx"
"""Where text-embeddings-inference and fastembed look for it."""
OUTPUT = "sentence_embedding"
"""The name of a graph's only output, by which others know that nothing is left to be pooled."""
OPENVINO_FILE = "openvino/openvino_model.xml"
CTRANSLATE2_FOLDER = "ctranslate2"
HEAD_FILE = "onnx/head.onnx"
"""What follows the transformer, where that is not run by onnxruntime."""
SCHEMA = 1
_CHUNK_BATCHES = 64  # batches' worth of texts that are sorted by length together


@dataclass(frozen=True)
class ExportManifest:
    """What an exported folder is.

    Attributes:
        format: what runs it.
        model: the name of the model that was exported, for people.
        source: the fingerprint of that model.
        fingerprint: the same where the vectors are the same; else one of this form alone.
        dimensions: of a vector.
        max_tokens: where texts are cut; None where they are not.
        similarity: how a query and a passage are scored.
        normalised: whether vectors are of unit length.
        prompts: what is put before a text, by role.
        agreement: mean and lowest cosine with the model's own vectors of some texts, short and long.
    """

    format: ExportFormat
    model: str
    source: str
    fingerprint: str
    dimensions: int
    max_tokens: int | None
    similarity: str
    normalised: bool
    prompts: dict[str, str]
    agreement: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}


def read_export(folder: str | Path) -> ExportManifest | None:
    """What an exported folder says of itself; None for any other folder, and for what is none.

    Raises:
        InputError: if its manifest cannot be read or is of another schema.
    """
    path = expanded_path(folder) / EXPORT_MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise InputError(f"{path}: of schema {found['schema']!r}; this version reads schema {SCHEMA}; export again")
        return ExportManifest(**{field.name: found[field.name] for field in fields(ExportManifest)})
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error!r}); export the model again") from None


def is_exported(folder: str | Path) -> bool:
    """Whether a folder is one that `ExportedEncoder` runs; what was exported as tei is an ordinary model."""
    manifest = read_export(folder)
    return manifest is not None and manifest.format in _RUNNERS


class ExportedEncoder:
    """An exported folder as a `TextEncoder`; imports neither torch nor transformers.

    Args:
        folder: one that `export` wrote as onnx, openvino or ctranslate2.
        name: what people call it; the folder's path where None.
        max_tokens: cut texts earlier than the folder says.
        query_prompt: put before queries in place of the folder's own.
        passage_prompt: the same for passages.
        threads: of the processor; all cores where None.
        batch_size: texts computed at a time.

    Raises:
        InputError: if the folder is none or damaged, or the limit is beyond its own.
        MissingExtraError: if what runs it is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        max_tokens: int | None = None,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        threads: int | None = None,
        batch_size: int = 32,
    ) -> None:
        folder = expanded_path(folder)
        manifest = read_export(folder)
        if manifest is None or manifest.format not in _RUNNERS:
            raise InputError(f"{folder}: not a model that isoglot exported as {', '.join(_RUNNERS)}")
        self.folder, self.manifest, self.batch_size = folder, manifest, batch_size
        self.name = name or str(folder)
        self.dimensions, self.max_tokens = manifest.dimensions, manifest.max_tokens
        given = {"query": query_prompt, "passage": passage_prompt}
        self.prompts = manifest.prompts | {role: prompt for role, prompt in given.items() if prompt is not None}
        tokenizer = folder / "tokenizer.json"
        try:
            self._tokenizer = _library("tokenizers").Tokenizer.from_file(str(tokenizer))
            self._run: _Run = _RUNNERS[manifest.format](folder, threads or 0)
        except MissingExtraError:
            raise
        except Exception as error:  # of damaged files the libraries raise what they like
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{folder}: cannot be loaded ({reason}); export the model again") from error
        self._padding: dict[str, Any] = self._tokenizer.padding or {"pad_id": 0, "direction": "right"}
        self._tokenizer.no_padding()
        if max_tokens is not None:
            self.cut_at(max_tokens)

    def __copy__(self) -> ExportedEncoder:
        """The same, with a tokenizer of its own, so that it can be cut elsewhere."""
        twin = object.__new__(type(self))
        twin.__dict__.update(vars(self), _tokenizer=deepcopy(self._tokenizer))
        return twin

    def cut_at(self, tokens: int) -> None:
        """Read so many tokens of a text from now on.

        Raises:
            InputError: if they are fewer than 3 or more than the folder takes.
        """
        most = self.manifest.max_tokens
        if tokens < 3 or (most is not None and tokens > most):
            raise InputError(f"max_tokens {tokens}: {self.name} takes 3 to {most or 'any number of'} tokens")
        self._tokenizer.enable_truncation(
            tokens, direction=(self._tokenizer.truncation or {}).get("direction", "right")
        )
        self.max_tokens = tokens

    def provenance(self, role: Role) -> Provenance:
        """All that its vectors depend on in a role."""
        return Provenance(
            model=self.name,
            fingerprint=self.manifest.fingerprint,
            prompt=self.prompts[role],
            role=role,
            max_tokens=self.max_tokens,
            similarity=self.manifest.similarity,
            normalised=self.manifest.normalised,
            arithmetic=f"{'int8' if self.manifest.format == 'ctranslate2' else 'float32'} ({self.manifest.format})",
        )

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, dimensions)`, float32; the prompt of the role is put before each text."""
        return self.vectors([self.prompts[role] + text for text in texts])

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """`(texts, dimensions)` of texts as they are.

        Raises:
            InputError: if a vector is not all finite numbers.
        """
        found = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), _CHUNK_BATCHES * self.batch_size):
            chunk = texts[start : start + _CHUNK_BATCHES * self.batch_size]
            ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(chunk))]
            order = np.argsort([-len(each) for each in ids], kind="stable")  # batches of like lengths waste no padding
            for at in range(0, len(order), self.batch_size):
                rows = order[at : at + self.batch_size]
                found[start + rows] = self._run(*self._padded([ids[row] for row in rows.tolist()]))
        wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(wrong):
            raise InputError(f"{self.name}: gives a vector of NaN or infinite numbers for {texts[wrong[0]][:60]!r}")
        return found

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text with the role's prompt, before anything is cut."""
        encodings = self._tokenizer.encode_batch([self.prompts[role] + text for text in texts])
        # What is cut off comes in pieces, each with special tokens of its own.
        return [
            len(each.ids) + sum(rest.special_tokens_mask.count(0) for rest in each.overflowing) for each in encodings
        ]

    def _padded(self, ids: list[list[int]]) -> tuple[IntArray, IntArray]:
        longest = max(map(len, ids))
        tokens = np.full((len(ids), longest), self._padding["pad_id"], np.int64)
        mask = np.zeros_like(tokens)
        for row, each in enumerate(ids):
            place = slice(longest - len(each), None) if self._padding["direction"] == "left" else slice(len(each))
            tokens[row, place], mask[row, place] = each, 1
        return tokens, mask


def _onnx(folder: Path, threads: int, file: str = ONNX_FILE) -> _Run:
    runtime = _library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run([OUTPUT], dict(zip(names, inputs, strict=True)))[0]


def _openvino(folder: Path, threads: int) -> _Run:
    # It would compute in bfloat16 wherever the processor has it, which is not what was compared at the export.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
    compiled = _library("openvino").Core().compile_model(str(folder / OPENVINO_FILE), "CPU", settings)

    def run(ids: IntArray, mask: IntArray) -> FloatArray:
        # A request serves one thread at a time.
        vectors: FloatArray = compiled.create_infer_request().infer([ids, mask])[0]
        return vectors

    return run


def _ctranslate2(folder: Path, threads: int) -> _Run:
    # Named, for the default would mix bfloat16 in on some processors.
    encoder = _library("ctranslate2").Encoder(
        str(folder / CTRANSLATE2_FOLDER), device="cpu", compute_type="int8_float32", intra_threads=threads
    )
    head = _onnx(folder, threads, HEAD_FILE)

    def run(ids: IntArray, mask: IntArray) -> FloatArray:
        tokens = [each[kept > 0].tolist() for each, kept in zip(ids, mask, strict=True)]
        hidden = np.asarray(encoder.forward_batch(tokens).last_hidden_state)
        return head(hidden, np.sort(mask, axis=1)[:, ::-1])  # padded on the right, whatever the tokenizer does

    return run


_RUNNERS: dict[str, Callable[[Path, int], _Run]] = {"onnx": _onnx, "openvino": _openvino, "ctranslate2": _ctranslate2}


def _library(name: str) -> Any:
    extra = {"ctranslate2": "translate", "openvino": "openvino"}.get(name, "serve")
    return library(name, extra, "this model")
