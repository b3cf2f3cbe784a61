"""Apertium: rules and dictionaries that Debian packages, run as a command.

Texts go to the command in Apertium's own stream format rather than as plain text: there a null ends each text, so that
one process translates many, line breaks are blanks that stay where they are, and characters that mean something to the
format are escaped. (The plain format of 3.8 drops the nulls.)
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from isoglot.common.errors import InputError
from isoglot.enrich.translation.codes import by_language, closest

_SPECIAL = re.compile(r"[\[\]{}^$/\\@<>]")
_ESCAPED_OR_BLANK = re.compile(r"\\(.)|\[((?:\\.|[^\]\\])*)\]", re.DOTALL)
_END = "[]"  # an empty blank, which Apertium takes for the end of a sentence
_MORE = "apt-cache search ^apertium- lists language pairs to apt-get install"


class ApertiumEngine:
    """Translates with the language pairs that are installed for the `apertium` command.

    Args:
        command: the command or its path.
        timeout: seconds that one call may take.

    Raises:
        InputError: if the command is missing, does not run, or has no language pair.
    """

    def __init__(self, command: str = "apertium", timeout: float = 600.0) -> None:
        path = shutil.which(command)
        if path is None:
            raise InputError(
                f"apertium: no command {command} on this machine; "
                "apt-get install apertium and a language pair such as apertium-eng-spa"
            )
        self._command, self._timeout = path, timeout
        self._modes = modes_by_direction(self._run(["-l"], "").split())
        if not self._modes:
            raise InputError(f"apertium: no language pair is installed; {_MORE}")
        self.name = "apertium"
        self.model = " ".join(self._run(["-V"], "").split()) or "Apertium"
        self.more = _MORE

    def targets(self, source_language: str) -> list[str]:
        """Languages of the installed modes that translate from this one."""
        source = closest(source_language, [source for source, _ in self._modes])
        return [target for from_, target in self._modes if from_ == source]

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """Translate with one process; unknown words stay as they are, unmarked."""
        source = closest(source_language, [source for source, _ in self._modes])
        target = closest(target_language, self.targets(source_language))
        if source is None or target is None:
            raise InputError(f"apertium: no mode from {source_language} to {target_language}; {self.more}")
        mode = self._modes[source, target]
        return [from_stream(answer) for answer in self._answers([to_stream(text) for text in texts], mode)]

    def _answers(self, streams: list[str], mode: str) -> list[str]:
        """One answer per stream, empty where the language pair breaks at it.

        A part of the pipeline that breaks silences it for all that follows, so halves are tried again.
        """
        if not streams:
            return []
        answers = self._send(streams, mode)
        if len(answers) == len(streams) and all(answer.endswith(_END) for answer in answers):
            return answers
        if not any(answer.endswith(_END) for answer in [*answers, *self._send([to_stream("a")], mode)]):
            raise InputError(f"apertium {mode}: translates nothing; see if the command works by hand")
        if len(streams) == 1:
            return [""]
        half = len(streams) // 2
        return self._answers(streams[:half], mode) + self._answers(streams[half:], mode)

    def _send(self, streams: list[str], mode: str) -> list[str]:
        # Some versions send several nulls at the end.
        return self._run(["-u", "-z", "-f", "none", mode], "".join(streams)).split("\0")[: len(streams)]

    def _run(self, arguments: list[str], text: str) -> str:
        shown, by_hand = f"apertium {' '.join(arguments)}", "see if the command works by hand"
        command = [self._command, *arguments]
        try:  # as bytes, for text would have its carriage returns replaced
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=self._timeout)
            answer = done.stdout.decode()
        except subprocess.TimeoutExpired:
            raise InputError(f"{shown}: no answer within {self._timeout:g} seconds; raise the timeout") from None
        except OSError as error:
            raise InputError(f"{shown}: does not run ({error.strerror}); install apertium again") from None
        except UnicodeDecodeError:
            raise InputError(f"{shown}: the answer is not UTF-8; {by_hand}") from None
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise InputError(f"{shown}: failed with code {done.returncode} ({why[0]}); {by_hand}")
        return answer


def modes_by_direction(modes: Sequence[str]) -> dict[tuple[str, str], str]:
    """The mode of each direction, both languages as standard tags; modes that name no two languages are left out.

    >>> modes_by_direction(["eng-spa", "eng-cat_valencia", "eng-cat_valencia_uni", "README"])
    {('en', 'es'): 'eng-spa', ('en', 'ca-valencia'): 'eng-cat_valencia'}
    """
    found: dict[tuple[str, str], str] = {}
    for mode in modes:
        source, _, target = mode.partition("-")
        languages = [tag for code in (source, target) for tag in by_language([code])]
        if len(languages) == 2:
            found.setdefault((languages[0], languages[1]), mode)
    return found


def to_stream(text: str) -> str:
    r"""A text in Apertium's stream format, ended by an empty blank, where a sentence ends, and a null.

    >>> to_stream("a/b\nc")
    'a\\/b[\n]c[]\x00'
    """
    escaped = _SPECIAL.sub(r"\\\g<0>", text.replace("\0", " "))
    return re.sub(r"\s*\n\s*", lambda blank: f"[{blank[0]}]", escaped) + f"{_END}\0"


def from_stream(stream: str) -> str:
    r"""The text of what `to_stream` and Apertium made.

    >>> from_stream("a\\/b[\n]c[]")
    'a/b\nc'
    """
    return _ESCAPED_OR_BLANK.sub(lambda found: found[1] or re.sub(r"\\(.)", r"\1", found[2] or ""), stream)
