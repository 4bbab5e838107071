"""Pages for people: the console, and what each kind of problem means."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse

from redrive.api.console import PAGES, console_folder, serve_file
from redrive.api.problems import KINDS, PROBLEM_NOT_FOUND, Kind, Refusal
from redrive.api.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)

_FOLDER: Final = files("redrive.api") / "pages"


def _read(name: str) -> tuple[str, dict[str, str]]:
    """Read a page, and make headers that let it run what is written in it and nothing else."""
    text = (_FOLDER / name).read_text(encoding="utf-8")
    directives = ["default-src 'none'", "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'self'"]
    for element in ("style", "script"):
        parts = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
        if hashes:
            directives.append(f"{element}-src " + " ".join(f"'sha256-{value}'" for value in hashes))
    headers = {
        "Content-Security-Policy": "; ".join([*directives, "frame-ancestors 'none'"]),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return text, headers


_OVERVIEW, _OVERVIEW_HEADERS = _read("overview.html")
_PROBLEM, _PROBLEM_HEADERS = _read("problem.html")
_DOCS, _DOCS_HEADERS = _read("docs.html")


_CONSOLE: Final = console_folder()


@router.get("/", response_class=HTMLResponse)
async def show_console(request: Request) -> Response:
    """Show the console; a plain list of tasks stands in for one that was not built."""
    if _CONSOLE is None:
        return HTMLResponse(_OVERVIEW, headers=_OVERVIEW_HEADERS)
    return serve_file(_CONSOLE, "index.html", request)


for _name in PAGES:
    router.add_api_route(f"/{_name}", show_console, response_class=HTMLResponse)
    router.add_api_route(f"/{_name}/{{rest:path}}", show_console, response_class=HTMLResponse)


@router.get("/assets/{name}")
@router.get("/scheme.js")
@router.get("/favicon.svg")
async def send_console_file(request: Request) -> Response:
    """Send a file of the console."""
    if _CONSOLE is None:
        raise Refusal(PROBLEM_NOT_FOUND, "the console is not built: run `make setup`")
    return serve_file(_CONSOLE, request.url.path.removeprefix("/"), request)


@router.get("/docs", response_class=HTMLResponse)
async def show_docs() -> HTMLResponse:
    """Show what the API can do."""
    return HTMLResponse(_DOCS, headers=_DOCS_HEADERS)


@router.get("/problems", response_class=HTMLResponse)
async def list_problems() -> HTMLResponse:
    """List the kinds of problems."""
    entries = "".join(
        f'<dt><a href="{kind.type}">{html.escape(kind.title)}</a></dt><dd><code>{kind.type}</code> · {kind.status}</dd>'
        for kind in sorted(KINDS.values(), key=lambda kind: (kind.status, kind.name))
    )
    return _page("Problems", f"<h1>What the API may answer</h1><dl>{entries}</dl>")


@router.get("/problems/{name}", response_class=HTMLResponse)
async def show_problem(name: Annotated[str, Path()]) -> HTMLResponse:
    """Explain a kind of problem: its `type` leads here."""
    kind = KINDS.get(name)
    if kind is None:
        raise Refusal(PROBLEM_NOT_FOUND, "there is no such kind of problem: GET /problems lists them")
    return _page(kind.title, _explain(kind))


def _explain(kind: Kind) -> str:
    advice = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(kind.advice, quote=False))
    return (
        f'<p class="soft"><code>{kind.type}</code> · HTTP status {kind.status}</p><h1>{html.escape(kind.title)}</h1>'
        f'<p>{advice}</p><p><a href="/problems">All problems</a> · <a href="/docs">API docs</a></p>'
    )


def _page(title: str, body: str) -> HTMLResponse:
    text = Template(_PROBLEM).substitute(title=html.escape(title), body=body)
    return HTMLResponse(text, headers=_PROBLEM_HEADERS)
