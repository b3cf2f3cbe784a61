"""The command that says what there is and what is missing."""

from __future__ import annotations

import json

from isoglot.cli.shared import Json, say


def doctor(as_json: Json = False) -> None:
    """Say what this installation has and lacks: versions, processor, hub, cache, extras."""
    from isoglot.diagnosis import diagnose

    found = diagnose()
    if as_json:
        print(json.dumps(found))
        return
    for name, words in found.items():
        say(f"{name:<22}{words}")
