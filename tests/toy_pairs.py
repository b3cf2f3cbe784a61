"""Rows of parallel pairs, made up."""

from __future__ import annotations

_WORDS = {
    "en": [
        "red",
        "green",
        "blue",
        "black",
        "white",
        "house",
        "tree",
        "river",
        "stone",
        "bird",
        "winter",
        "summer",
        "bread",
        "water",
        "fire",
        "cloud",
    ],
    "de": [
        "rot",
        "gruen",
        "blau",
        "schwarz",
        "weiss",
        "haus",
        "baum",
        "fluss",
        "stein",
        "vogel",
        "winter",
        "sommer",
        "brot",
        "wasser",
        "feuer",
        "wolke",
    ],
    "es": [
        "rojo",
        "verde",
        "azul",
        "negro",
        "blanco",
        "casa",
        "arbol",
        "rio",
        "piedra",
        "pajaro",
        "invierno",
        "verano",
        "pan",
        "agua",
        "fuego",
        "nube",
    ],
}


def parallel_rows(examples: int = 60) -> list[dict[str, str]]:
    """Rows of a toy language pair: a passage names three things, its query two of them, in three languages."""
    rows = []
    for number in range(examples):
        picks = [(number * 7 + 3) % 16, (number * 5 + 1) % 16, (number * 3 + number // 16) % 16]
        for language, words in _WORDS.items():
            chosen = [words[pick] for pick in picks]
            passage = f"{' '.join(chosen)} {number} {language}"
            rows.append(
                {
                    "id": f"e{number}",
                    "language": language,
                    "query": " ".join(chosen[:2]) + f" {number}",
                    "passage": passage,
                }
            )
    return rows
