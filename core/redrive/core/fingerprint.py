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
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b"), "<email>"),
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<value>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"\b[0-9a-fA-F]{12,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.:]\d+)*"), "<n>"),
)
_FRAME: Final = re.compile(r'File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_FRAMES: Final = 3


def normalise(message: str) -> str:
    """Replace the varying parts of a message by placeholders.

    Args:
        message: The message; only its first line and first 500 characters count.

    Returns:
        The normalised text.
    """
    text = message.strip().splitlines()[0][:500] if message.strip() else ""
    for pattern, placeholder in _VARIABLE_PARTS:
        text = pattern.sub(placeholder, text)
    return text


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
    frames = [f"{m['file'].rpartition('/')[2]}:{m['function']}" for m in _FRAME.finditer(stack or "")][-_FRAMES:]
    parts = "\n".join([error_type, normalise(message), *frames])
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:16]
