"""Any model as a search needs it; torch is imported for those alone that run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isoglot.runtime.encoder import TextEncoder
from isoglot.runtime.loading import open_encoder


def load_text_encoder(name: str | Path, *, bf16: bool = False, **options: Any) -> TextEncoder:
    """Load what turns texts into vectors for an index or a search.

    Args:
        name: any model that `load_encoder` takes. An exported folder or a model behind an API needs no torch.
        bf16: use bfloat16 arithmetic, where the processor has it; an exported folder has its own.
        options: as `load_encoder` takes them: token limit, prompts, device, how a server is asked.

    Raises:
        InputError: as `load_encoder` does.
        MissingExtraError: if what runs the model is not installed.
    """
    opening = {key: options[key] for key in ("query_prompt", "passage_prompt", "api") if key in options}
    encoder = open_encoder(str(name), **opening)
    if encoder is not None and options.get("max_tokens") is None:
        return encoder
    from isoglot.models.encoders import load_encoder
    from isoglot.models.foreign import wrap_text_encoder
    from isoglot.models.limits import set_token_limit
    from isoglot.models.text_encoder import ModelEncoder

    if encoder is None:
        return ModelEncoder(load_encoder(name, **options), name=str(name), bf16=bf16)
    model = wrap_text_encoder(encoder)
    set_token_limit(model, options["max_tokens"])
    cut: TextEncoder = model[0].encoder
    return cut
