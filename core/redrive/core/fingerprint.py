"""Fingerprints: one short name for all errors that are the same error.

What varies from case to case (numbers, ids, quoted values, addresses) is taken out of the message; what is left is
hashed together with the class of the error and the place it came from.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_VARIABLE_PARTS: Final = (
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<uuid>"),
    # The bounds keep it linear: without them each start would run to the end of the word.
    (re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}\.[\w.]{1,255}\b"), "<email>"),
    (re.compile(r"https?://[^\s'\"<>]+"), "<url>"),  # a quote ends it: the message quotes the URL
    # An apostrophe inside a word (can't, 'it's') neither opens nor closes a quotation.
    (re.compile(r"(?<!\w)b?'(?:[^']|(?<=\w)'(?=\w))*'(?!\w)|\"[^\"]*\""), "<value>"),
    # Hexadecimal and decimal share a placeholder: an id may have no letter among its digits by chance.
    (
        re.compile(
            r"""(?:(?<![\w.)-])[-+])?(?:
                0x[0-9a-fA-F]+
                | (?<![0-9a-zA-Z])(?=\d*[a-fA-F])[0-9a-fA-F]{12,}(?![0-9a-zA-Z])
                | \d+(?:[.:,_]\d+)*(?:[eE][-+]?\d+)?
            )""",
            re.VERBOSE,
        ),
        "<n>",
    ),
)
_FRAME: Final = re.compile(r'File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_FRAMES: Final = 3
_MESSAGE_READ: Final = 4000
_MESSAGE_KEPT: Final = 500


def normalise(message: str) -> str:
    """Replace the varying parts of a message by placeholders.

    Args:
        message: The message; only its first line counts, of which the first 500 characters after replacement.

    Returns:
        The normalised text.
    """
    # The generous cut bounds the work; the one that counts comes after the replacement, where the length of a number
    # no longer moves it.
    line, *_ = message.lstrip()[:_MESSAGE_READ].splitlines() or [""]
    text = line.rstrip()
    for pattern, placeholder in _VARIABLE_PARTS:
        text = pattern.sub(placeholder, text)
    return text[:_MESSAGE_KEPT]


def fingerprint(error_type: str, message: str, stack: str | None = None) -> str:
    """Name an error so that its like get the same name.

    Args:
        error_type: Class name of the error.
        message: What it says.
        stack: A Python traceback; its last three frames count, without line numbers, so that an edit elsewhere in the
            file does not make a new error of an old one.

    Returns:
        16 hexadecimal digits.
    """
    frames = [f"{_file_name(m['file'])}:{m['function']}" for m in _FRAME.finditer(stack or "")][-_FRAMES:]
    parts = "\n".join([error_type, normalise(message), *frames])
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:16]


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
