"""Encoders: ordinary sentence-transformers models, and what isoglot needs to know of them beyond `encode`."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm, Normalize, Router
from sentence_transformers.util import load_file_path

from isoglot.common.errors import InputError
from isoglot.common.hub import hub_is_reachable
from isoglot.common.paths import expanded_path
from isoglot.common.progress import tell
from isoglot.common.roles import Role
from isoglot.models.builtin import BUILTIN_PREFIX, builtin_folder, quiet_transformers
from isoglot.models.foreign import FOREIGN_FILE, ForeignReader, wrap_text_encoder
from isoglot.models.limits import set_token_limit
from isoglot.models.mteb import MTEB_PREFIX, MtebReader, load_mteb_encoder
from isoglot.models.prompts import E5, prompt_family
from isoglot.models.saving import remember_tokenizers
from isoglot.runtime.api_settings import ApiOptions
from isoglot.runtime.loading import open_encoder

TASKS: dict[Role, str] = {"query": "query", "passage": "document"}
"""sentence-transformers' names for the roles, by which a model with routes chooses."""
ANY_ROUTE = "any"
"""The route, in a model that ends in routes by language, of languages that have none."""

# Names under which models store the prompt of a role, in the order sentence-transformers looks them up.
_PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "passage": ("document", "passage", "corpus")}
_THIS_KIND = "SentenceTransformer"
_OTHER_KINDS = {  # by what stands among the types of their modules, or else their architectures
    "SpladePooling": "SparseEncoder",
    "MultiVectorMask": "MultiVectorEncoder",
    "pylate.": "ColBERT model",
    "ColBERT": "ColBERT model",
    "ForSequenceClassification": "CrossEncoder",
}


def load_encoder(
    name: str | Path,
    *,
    max_tokens: int | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = torch.float32,
    trust_remote_code: bool = False,
    api: ApiOptions | None = None,
) -> SentenceTransformer:
    """Load a model.

    Args:
        name: a folder, one that `export` wrote included, a Hugging Face hub id, `builtin:multilingual-e5-small` or
            `builtin:universal-sentence-encoder`, which need no network, `api:URL#MODEL` for a model behind an API, or
            `mteb:NAME` for any model that MTEB can load. A plain transformer gets mean pooling, as in
            sentence-transformers.
        max_tokens: longer texts are cut, at most where the architecture ends; the model's own limit where None.
        query_prompt: put before queries: a text, or the name of one of the model's prompts. The model's own where None.
        passage_prompt: the same for passages.
        device: as torch names it; the best there is where None.
        dtype: of the weights in memory, whatever the files have; as the files have it where None.
        trust_remote_code: run code that comes with the model. Weights are read from safetensors, and of a `Dense`
            module that has none from `pytorch_model.bin`, as tensors alone (`weights_only=True`); so without it loading
            a model runs nothing.
        api: how the server of a model behind an API is asked.

    Raises:
        InputError: if the model is not there, is none that gives one vector per text, or has no safetensors weights; or
            if the server cannot be reached or gives no vectors.
        MissingExtraError: if the built-in source or MTEB is asked for and not installed.
    """
    source = str(name)
    given: dict[Role, str | None] = {"query": query_prompt, "passage": passage_prompt}
    foreign = open_encoder(source, query_prompt=query_prompt, passage_prompt=passage_prompt, api=api)
    if foreign is not None:
        if not any(foreign.provenance(role).prompt for role in given) and prompt_family([source]) == E5:
            _say_once(f"{source}: texts go as they are; E5 wants --query-prompt 'query: ' --passage-prompt 'passage: '")
        return _ready(wrap_text_encoder(foreign), max_tokens)
    if source.startswith(MTEB_PREFIX):
        if any(prompt is not None for prompt in given.values()):
            raise InputError(f"{source}: MTEB puts its own prompts before texts; none can be given here")
        model = load_mteb_encoder(source.removeprefix(MTEB_PREFIX), device=device, trust_remote_code=trust_remote_code)
        return _ready(model, max_tokens)
    if source.startswith(BUILTIN_PREFIX):
        source = str(builtin_folder(source.removeprefix(BUILTIN_PREFIX)))
    elif _is_path(source):
        source = str(expanded_path(source))
        _check_folder(Path(source))
        _check_foreign(Path(source), any(prompt is not None for prompt in given.values()), trust_remote_code)
    offline = not Path(source).exists() and not hub_is_reachable()
    try:
        _refuse_other_kinds(source, offline)
        with quiet_transformers():
            model = SentenceTransformer(
                source,
                device=device,
                trust_remote_code=trust_remote_code,
                local_files_only=offline,
                model_kwargs={"use_safetensors": True, "dtype": dtype or "auto"},
            )
        if dtype is not None:
            model.to(dtype)
    except InputError:
        raise
    except Exception as error:  # of a damaged folder or a lost connection the libraries may raise anything
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"cannot load the model {str(name)!r}: {first_line} Name a folder, a hub id that can be reached from here, "
            f"or {BUILTIN_PREFIX}multilingual-e5-small."
        ) from error
    if not any(model.prompts.values()) and prompt_family(_own_names(source)) == E5:  # its hub folders lack them
        model.prompts.update({"query": E5.query, "document": E5.passage})
    _set_prompts(model, given, str(name))
    remember_tokenizers(model)
    return _ready(model, max_tokens)


def _ready(model: SentenceTransformer, max_tokens: int | None) -> SentenceTransformer:
    if max_tokens is not None:
        set_token_limit(model, max_tokens)
    return model.eval()


def own_name(model: SentenceTransformer) -> str:
    """What a model is called where nobody says: its hub id, the name of its folder, or its kind."""
    if isinstance(model[0], MtebReader):
        return f"{MTEB_PREFIX}{model[0].name}"
    if isinstance(model[0], ForeignReader):
        return model[0].encoder.name
    name = model.model_card_data.base_model or getattr(model.transformers_model, "name_or_path", None)
    return (_own_names(name)[0] if Path(name).exists() else name) if name else type(model).__name__


def role_prompt(model: SentenceTransformer, role: Role) -> str:
    """The text that the model wants before a query or a passage; a default prompt stands in for neither's."""
    return next((str(model.prompts[name]) for name in _PROMPT_NAMES[role] if model.prompts.get(name)), "")


def _set_prompts(model: SentenceTransformer, given: Mapping[Role, str | None], called: str) -> None:
    """Give the roles the prompts asked for; say which role goes without though the model has prompts."""
    known = {name for names in _PROMPT_NAMES.values() for name in names}
    others = [name for name, prompt in model.prompts.items() if prompt and name not in known]
    own = dict(model.prompts)
    for role, prompt in given.items():
        names = _PROMPT_NAMES[role]
        if prompt is not None:
            text = own.get(prompt, prompt)
            model.prompts.update({name: text for name in names if name == names[0] or name in own})
        elif others and not role_prompt(model, role):
            _say_once(
                f"{called} has prompts ({', '.join(others)}), but none by a name for {role} texts, which get none; "
                f"choose with --{role}-prompt NAME"
            )


@cache
def _say_once(sentence: str) -> None:
    tell(sentence)


def rebuilt(model: SentenceTransformer, modules: Mapping[str, torch.nn.Module]) -> SentenceTransformer:
    """A model of these modules, by name, that declares what the given one does; modules are shared, not copied."""
    new = SentenceTransformer(
        modules=OrderedDict(modules),
        device=str(model.device),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
    )
    new.module_kwargs = model.module_kwargs
    return new.eval()


def split_head(model: SentenceTransformer) -> tuple[SentenceTransformer, list[torch.nn.Module]]:
    """Split a model into the part that reads text and the modules at its end that only map a finished vector.

    The first part is where the time goes; models that differ in the second only share its vectors.
    """
    modules = list(model.named_children())
    head = [*takewhile(_maps_vectors, (module for _, module in reversed(modules[1:])))][::-1]
    return (rebuilt(model, dict(modules[: -len(head)])), head) if head else (model, head)


def _maps_vectors(module: torch.nn.Module) -> bool:
    """Whether all that a module does is to turn a finished vector into another."""
    if isinstance(module, Router):
        return all(_maps_vectors(each) for route in module.sub_modules.values() for each in route)
    if isinstance(module, Dense | Normalize):
        return {module.module_input_name, module.module_output_name} == {"sentence_embedding"}
    return isinstance(module, Dropout | LayerNorm)


def blocks_of(transformer: torch.nn.Module) -> torch.nn.ModuleList:
    """The stack of a transformer's blocks; empty if it has none."""
    return max(_lists(transformer), key=len, default=torch.nn.ModuleList())


def _lists(module: torch.nn.Module) -> Iterator[torch.nn.ModuleList]:
    """The lists of modules that are in no other list; in a transformer the longest is the stack of its blocks."""
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield child
        else:
            yield from _lists(child)


def has_routes(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether one of the modules chooses its way by a task, such as a role or a language."""
    return any("task" in getattr(module, "forward_kwargs", ()) for module in modules)


def task_of(modules: Iterable[torch.nn.Module], role: Role, language: str | None) -> str:
    """The task by which these modules choose their route for a text.

    That of queries, where there is one and they are meant; else that of the language, of its plain tag, or the role's,
    which models with routes by language send where languages without a route go.
    """
    names = {name for module in modules if isinstance(module, Router) for name in module.sub_modules}
    if language is None or (role == "query" and "query" in names):
        return TASKS[role]
    return next((name for name in (language, language.split("-")[0]) if name in names), TASKS[role])


def _refuse_other_kinds(source: str, offline: bool) -> None:
    """Refuse a model of another kind, which would load as a wrong encoder, and an adapter without its base."""

    def read(name: str, folder: str = source) -> Any:
        path = load_file_path(folder, name, local_files_only=offline)
        return json.loads(Path(path).read_text("utf-8")) if path else {}

    modules = read("modules.json")
    kind = read("config_sentence_transformers.json").get("model_type", _THIS_KIND)
    parts = [module["type"] for module in modules] or read("config.json").get("architectures") or []
    if kind == _THIS_KIND:
        kind = next((name for mark, name in _OTHER_KINDS.items() if mark in " ".join(parts)), kind)
    if kind != _THIS_KIND:
        raise InputError(
            f"{source}: a {kind}, which does not give one vector per text; what it ranks can be evaluated as a TREC "
            "run: isoglot evaluate run:FILE"
        )
    for file in Path(source).rglob("adapter_config.json"):
        base = read(file.name, str(file.parent)).get("base_model_name_or_path")
        if base and not Path(base).exists() and load_file_path(base, "config.json", local_files_only=offline) is None:
            raise InputError(
                f"{file}: the base model {base!r} of this adapter is neither a folder here nor a hub id that can be "
                "reached; put it there, or write into base_model_name_or_path where it is"
            )


def _own_names(source: str) -> list[str]:
    """What a model calls itself: its folder or the end of its hub id, and the name in its card; no folder above."""
    path = Path(source)
    in_hub_cache = path.parent.name == "snapshots"  # models--intfloat--multilingual-e5-small/snapshots/REVISION
    names = [path.parent.parent.name.split("--")[-1] if in_hub_cache else path.resolve().name]
    card = path / "README.md"
    said = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    if found := re.search(r"^model-index:\s*\n- name: *(.+)$", said, re.MULTILINE):
        names.append(found[1])
    return names


def _is_path(name: str) -> bool:
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that holds a model, a hub id or {BUILTIN_PREFIX}...")
    if not any((folder / name).exists() for name in ("modules.json", "config.json", "adapter_config.json")):
        raise InputError(f"{folder}: not a model folder; it has neither modules.json nor config.json")
    if not (folder / FOREIGN_FILE).exists() and not any(folder.rglob("*.safetensors")):
        raise InputError(f"{folder}: no weights (*.safetensors) in this model folder; pickled weights are not read")


def _check_foreign(folder: Path, prompts_given: bool, trusted: bool) -> None:
    """Refuse a model over a server that nobody allowed: it is sent texts, and the key of the environment."""
    if not (folder / FOREIGN_FILE).exists():
        return
    if not trusted:
        try:
            name = json.loads((folder / FOREIGN_FILE).read_text("utf-8"))["name"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{folder / FOREIGN_FILE}: not readable; save the model again") from None
        raise InputError(f"{folder}: its vectors come from {name}; if you trust that, add --trust-remote-code")
    if prompts_given:
        raise InputError(f"{folder}: was made with prompts of its own; none can be given here")
