"""A translation server with the interface of LibreTranslate, reached with the standard library."""

from __future__ import annotations

import http.client
import json
import math
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from isoglot.common.errors import InputError
from isoglot.enrich.translation.codes import by_language, closest

API_KEY_VARIABLE = "ISOGLOT_TRANSLATE_API_KEY"
"""Environment variable with the server's key, if it wants one."""

_OWN_CODES = {"zt": "zh-Hant", "pb": "pt-BR"}  # LibreTranslate's, which are no BCP 47
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 120.0  # seconds, whatever the server asks for
_ADVICE = {
    **dict.fromkeys((401, 403), f"put a key that the server accepts into {API_KEY_VARIABLE}"),
    **dict.fromkeys((400, 413), "lower texts_per_request or characters_per_request if that is its limit"),
}
_WHAT = "is it a LibreTranslate server?"


@dataclass
class HttpEngine:
    """Translates by `POST /translate`, lists of texts at a time.

    A request that fails by a time-out, a lost connection, or a status that may pass (408, 425, 429, 5xx) is sent again
    after 1, 2, 4, ... seconds, or after what `Retry-After` says.

    Args:
        address: of the server, such as `http://localhost:5000`.
        texts_per_request: servers limit this; LibreTranslate calls it its batch limit.
        characters_per_request: likewise; a longer text goes alone.
        requests_per_minute: the most to send; None for no limit of our own.
        timeout: seconds to wait for one answer.
        tries: how often one request is sent before it counts as failed.
        first_wait: seconds before the second try; doubled each time.

    Raises:
        InputError: if the address is none, holds a password, or a setting is out of range.
    """

    address: str
    _: KW_ONLY
    texts_per_request: int = 32
    characters_per_request: int = 5000
    requests_per_minute: float | None = None
    timeout: float = 60.0
    tries: int = 5
    first_wait: float = 1.0
    name = "http"

    def __post_init__(self) -> None:  # noqa: D105
        try:
            parts = urllib.parse.urlsplit(self.address)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # of a host or a port that is none
            known = False
        if not known:
            raise InputError(f'"{self.address}" is no server; give an address such as http://localhost:5000')
        if parts.username or parts.password or parts.query:
            raise InputError(f"the address of a server holds no secrets; put the key into {API_KEY_VARIABLE}")
        for name in ("texts_per_request", "tries", "timeout", "requests_per_minute"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise InputError(f"http: {name} is {value}; it must be above 0")
        self.model = self.address.rstrip("/").removesuffix("/translate")
        self.more = f"{self.model}/languages lists what the server does"
        self._next_request = 0.0

    def targets(self, source_language: str) -> list[str]:
        """What the server's list of languages says."""
        source = closest(source_language, self._languages)
        return [] if source is None else list(self._languages[source][1])

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """Translate by as many requests as the limits make it."""
        source = closest(source_language, self._languages)
        target = closest(target_language, self.targets(source_language))
        if source is None or target is None:
            raise InputError(f"{self.model}: not from {source_language} to {target_language}; {self.more}")
        code, target_codes = self._languages[source]
        parts = (self._translate_part(part, code, target_codes[target]) for part in self._requests(texts))
        return [translation for part in parts for translation in part]

    def _requests(self, texts: Sequence[str]) -> Iterator[list[str]]:
        part: list[str] = []
        for text in texts:
            if part and (
                len(part) == self.texts_per_request or sum(map(len, part)) + len(text) > self.characters_per_request
            ):
                yield part
                part = []
            part.append(text)
        if part:
            yield part

    def _translate_part(self, texts: list[str], source: str, target: str) -> list[str]:
        message = {"q": texts, "source": source, "target": target, "format": "text"}
        if key := os.environ.get(API_KEY_VARIABLE):
            message["api_key"] = key
        answer = self._ask("/translate", message)
        translations = answer.get("translatedText") if isinstance(answer, dict) else None
        if not isinstance(translations, list) or not all(isinstance(text, str) for text in translations):
            raise InputError(f"{self.model}/translate: no list of texts in the answer; {_WHAT}")
        if len(translations) != len(texts):
            wrong = f"{len(translations)} translations of {len(texts)} texts"
            raise InputError(f"{self.model}/translate: {wrong}; lower texts_per_request")
        return translations

    @cached_property
    def _languages(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Standard tag -> the server's code and, by standard tag, the codes it translates that into."""
        listed = self._ask("/languages", None)
        try:
            targets = {str(entry["code"]): [str(code) for code in entry.get("targets", ())] for entry in listed}
        except (TypeError, KeyError, AttributeError):
            raise InputError(f"{self.model}/languages: not a list of languages; {_WHAT}") from None
        return {  # servers before 1.3 list no targets: they translate everything into everything
            tag: (code, {other: to for other, to in _tags(targets[code] or targets).items() if other != tag})
            for code in targets
            for tag in _tags([code])
        }

    def _ask(self, path: str, message: dict[str, Any] | None) -> Any:
        """The JSON that a GET, or with a message a POST, gives, however often that takes."""
        body = None if message is None else json.dumps(message).encode()
        request = urllib.request.Request(
            self.model + path, data=body, headers={"Content-Type": "application/json", "Accept": "application/json"}
        )
        for attempt in range(1, self.tries + 1):
            wait = self.first_wait * 2 ** (attempt - 1)
            now = time.monotonic()
            time.sleep(max(0.0, self._next_request - now))  # not more requests a minute than are wanted
            self._next_request = max(now, self._next_request) + 60.0 / (self.requests_per_minute or math.inf)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                why = f"status {error.code}{_reason(error)}"
                if error.code not in _WORTH_RETRYING:
                    raise InputError(f"{self.model}{path}: {why}; {_ADVICE.get(error.code, _WHAT)}") from None
                wait = _retry_after(error.headers.get("Retry-After"), wait)
            except ValueError:
                raise InputError(f"{self.model}{path}: the answer is not JSON; {_WHAT}") from None
            except TimeoutError:
                why = f"no answer within {self.timeout:g} seconds"
            except (OSError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", "") or error or type(error).__name__)
            if attempt < self.tries:
                time.sleep(min(wait, _LONGEST_WAIT))
        raise InputError(f"{self.model}{path}: {why}, {self.tries} times; see if the server runs, then go on")


def _tags(codes: Sequence[str] | dict[str, Any]) -> dict[str, str]:
    """Standard tag -> the server's code."""
    own = {_OWN_CODES.get(code, code): code for code in codes}
    return {tag: own[code] for tag, code in by_language(own).items()}


def _reason(error: urllib.error.HTTPError) -> str:
    """What the server says is wrong; the key is cut out should it repeat it."""
    try:
        said = json.loads(error.read(10_000))["error"]
    except (ValueError, TypeError, KeyError, OSError):
        return ""
    text = " ".join(str(said).split())
    if key := os.environ.get(API_KEY_VARIABLE):
        text = text.replace(key, "...")
    return f" ({text[:200]})"


def _retry_after(header: str | None, otherwise: float) -> float:
    try:
        return max(0.0, float(header)) if header else otherwise
    except ValueError:  # a date; few servers send one
        return otherwise
