"""Talks to Redrive's API, and turns what goes wrong into one line that says what to do."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Self

import httpx
import typer

from redrive.cli.documents import as_object
from redrive.cli.failure import CommandError
from redrive.core.wire import NAMESPACE_HEADER

DEFAULT_URL = "http://127.0.0.1:8600"

UrlOption = Annotated[
    str, typer.Option("--url", envvar="REDRIVE_URL", help="Address of the API.", rich_help_panel="Connection")
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key", envvar="REDRIVE_API_KEY", show_envvar=True, help="API key.", rich_help_panel="Connection"
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="REDRIVE_NAMESPACE",
        help="Namespace; when omitted the one of the key, or `default`.",
        rich_help_panel="Connection",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write plain JSON to standard output, and nothing else.")]


class ApiError(CommandError):
    """The API refused a request.

    Attributes:
        status: The HTTP status.
        problem: The problem document, when there was one.
    """

    def __init__(self, message: str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        items: What is on it.
        next_cursor: Where the next page begins; None on the last.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


class ApiClient:
    """A connection to the API for the time of one command.

    Args:
        url: Address of the API.
        api_key: The key, when one is needed.
        namespace: The namespace of all requests; None leaves the choice to the API, which takes that of the key.
        timeout: Seconds for one request; a batch of a thousand reports is one request.
    """

    def __init__(self, url: str, api_key: str | None, namespace: str | None, *, timeout: float = 60.0) -> None:
        self._url = url.rstrip("/")
        given = {"Authorization": api_key and f"Bearer {api_key}", NAMESPACE_HEADER: namespace}
        headers = {name: value for name, value in given.items() if value}
        try:
            self._http = httpx.Client(
                base_url=self._url,
                headers=headers,
                # A proxy of the environment cannot reach this machine's own loopback.
                mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
                timeout=httpx.Timeout(timeout, connect=5.0),
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise CommandError(f"the API address or the key is not valid: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the document at a path; parameters that are None are left out."""
        return self._request("GET", path, params=params)

    def post(self, path: str, document: Any = None) -> Any:
        """Send a document and return the answer."""
        return self._request("POST", path, document=document)

    def put(self, path: str, document: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Put a document at a path and return the answer; parameters that are None are left out."""
        return self._request("PUT", path, params=params, document=document)

    def patch(self, path: str, document: Any) -> Any:
        """Change what is at a path and return the answer."""
        return self._request("PATCH", path, document=document)

    def delete(self, path: str) -> None:
        """Delete what is at a path."""
        self._request("DELETE", path)

    @contextmanager
    def lines(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        content: Iterable[bytes] | None = None,
    ) -> Generator[Iterator[str]]:
        """Send lines, or nothing, and read the answer line by line.

        Args:
            method: The HTTP method.
            path: The path.
            params: Query parameters; those that are None are left out.
            content: JSON lines in chunks.

        Yields:
            The lines of the answer as they come, each with its end.
        """
        given = {name: value for name, value in params.items() if value is not None}
        headers = None if content is None else {"Content-Type": "application/x-ndjson"}
        # A long file takes the server longer than one request may: as long as it reads or writes, it is at work.
        timeout = httpx.Timeout(None, connect=5.0)
        with (
            self._errors(),
            self._http.stream(method, path, params=given, content=content, headers=headers, timeout=timeout) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise _refusal(answer, self._url)
            yield (f"{line}\n" for line in answer.iter_lines())

    def page(self, path: str, params: Mapping[str, Any]) -> Page:
        """Return one page of a list."""
        document = self.get(path, params)
        return Page(items=document["items"], next_cursor=document.get("next_cursor"))

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Page]:
        """Return the pages of a list from the cursor in `params` to the end."""
        while True:
            page = self.page(path, params)
            yield page
            if page.next_cursor is None:
                return
            params = {**params, "cursor": page.next_cursor}

    def _request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, document: Any = None) -> Any:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        with self._errors():
            answer = self._http.request(method, path, params=given, json=document)
        if answer.is_success:
            return _document(answer, self._url)
        raise _refusal(answer, self._url)

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise CommandError(f"Redrive at {self._url} did not answer in time; see its log") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise CommandError(
                f"cannot reach Redrive at {self._url} ({error}); start it with `redrive dev`, "
                f"or name another address with --url or REDRIVE_URL"
            ) from error


def _document(answer: httpx.Response, url: str) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise CommandError(f"{url} does not answer like Redrive (no JSON); check --url") from error


def _refusal(answer: httpx.Response, url: str) -> ApiError:
    """Put a problem document (RFC 9457) into one line."""
    try:
        document = as_object(answer.json())
    except ValueError:
        document = None
    if document is None or "title" not in document:
        message = f"{url} answered {answer.status_code} {answer.reason_phrase}, and not like Redrive; check --url"
        return ApiError(message, answer.status_code, {})
    return ApiError(describe_problem(document), answer.status_code, document)


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Return a problem document as one line: title, detail, and the fields that are wrong."""
    detail = str(problem.get("detail") or "")
    line = ": ".join(part for part in (str(problem.get("title", "refused")), detail) if part)
    entries: list[Any] = problem.get("errors") or []
    # The detail may tell of the fields already.
    fields = [text for text in map(describe_field, entries) if text not in detail]
    if fields:
        line += f" ({'; '.join(fields)})"
    return " ".join(line.split())


def describe_field(entry: Any) -> str:
    """Return one entry of a problem's `errors` as text."""
    named = as_object(entry)
    if named is None:
        return str(entry)
    place = named.get("field") or named.get("pointer") or ""
    reason = named.get("message") or named.get("detail") or ""
    return ": ".join(str(part) for part in (place, reason) if part)
