"""The console's files: made by Vite, served beside the API, and allowed to run nothing but themselves."""

from __future__ import annotations

import mimetypes
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import Request, Response

from redrive.api.problems import PROBLEM_NOT_FOUND, Refusal

PAGES: Final = ("tasks", "dead-letters", "redrives", "groups", "targets", "nodes", "alerts", "settings")
"""First parts of the console's addresses; each is answered with the same document, which finds its page itself."""

_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2", ".svg": "image/svg+xml"}


def console_folder() -> Path | None:
    """Find the built console: in the installed package, or in the repository; None when it was never built."""
    package = Path(str(files("redrive.api")))
    for folder in (package / "console_files", package.parents[2] / "console" / "dist"):
        if (folder / "index.html").is_file():
            return folder
    return None


def serve_file(folder: Path, name: str, request: Request) -> Response:
    """Answer with a file of the console, compressed when the browser takes it.

    Args:
        folder: Where the console was built.
        name: The file's path below it.
        request: Who asks.

    Raises:
        Refusal: There is no such file.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise Refusal(PROBLEM_NOT_FOUND, f"the console has no file {name!r}")
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        # Names of files below `assets` carry a digest of their content; all others may change with the next release.
        "Cache-Control": "public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache",
    }
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    for encoding, suffix in _ENCODINGS.items():
        packed = path.with_name(path.name + suffix)
        if encoding in accepted and packed.is_file():
            headers["Content-Encoding"] = encoding
            path = packed
            break
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), media_type=kind, headers=headers)
