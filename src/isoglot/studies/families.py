"""Language families, for figures by family."""

from __future__ import annotations

_MEMBERS = {
    "Afro-Asiatic": "am ar arz ha he mt om so ti",
    "Austroasiatic": "km vi",
    "Austronesian": "ceb fil haw id jv mg mi ms su tl",
    "Basque": "eu",
    "Dravidian": "kn ml ta te",
    "Indo-European": "af as be bg bn bs ca cs cy da de el en es fa fo fr fy ga gd gl gu hi hr hy is it ku lb lt lv mk "
    "mr nb ne nl nn no or pa pl ps pt ro ru sd si sk sl sq sr sv tg uk ur yi",
    "Japonic": "ja",
    "Kartvelian": "ka",
    "Koreanic": "ko",
    "Kra-Dai": "lo th",
    "Mongolic": "mn",
    "Niger-Congo": "ig rn rw sn sw wo xh yo zu",
    "Sino-Tibetan": "bo my yue zh",
    "Turkic": "az ba kk ky tk tr tt ug uz",
    "Uralic": "et fi hu",
}
_FAMILY = {tag: family for family, tags in _MEMBERS.items() for tag in tags.split()}


def family_of(tag: str) -> str:
    """The family of a language as linguists group them at the top; `other` for one that is not listed here.

    >>> family_of("zh-CN"), family_of("fi")
    ('Sino-Tibetan', 'Uralic')
    """
    return _FAMILY.get(tag.split("-")[0], "other")
