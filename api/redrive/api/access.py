"""Who asks, and what they may see: API keys, their scope, and the namespace of a request."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from redrive.api.problems import KEY_INVALID, KEY_REQUIRED, OUT_OF_SCOPE, Refusal
from redrive.api.validation import invalid_field, shown
from redrive.store import keys
from redrive.store.database import Database
from redrive.store.keys import Scope

_TRUST_SECONDS: Final = 5.0
"""How long a look-up of a key holds: the longest that a revoked key still works."""

_TOUCH_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 10_000
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}
_LONGEST_USER: Final = 100
USER_HEADER: Final = "Redrive-Actor"
_EVERYTHING: Final = Scope()
_logger: Final = logging.getLogger("redrive.api")


class KeyRing:
    """Looks keys up, and remembers for a few seconds what they open.

    Args:
        database: Where the keys are.
        required: Whether a request needs a key.
    """

    def __init__(self, database: Database, *, required: bool) -> None:
        self._database = database
        self._required = required
        self._known: dict[str, tuple[float, Scope | None]] = {}
        self._used: set[UUID] = set()

    async def scope(self, authorization: str | None) -> Scope:
        """Tell what a request may see and do.

        Args:
            authorization: The header `Authorization`.

        Raises:
            Refusal: A key is needed, and there is none, or it is not valid.
        """
        if not self._required:
            return _EVERYTHING
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refusal(
                KEY_REQUIRED, "expected the header `Authorization: Bearer <key>`, got none", headers=_CHALLENGE
            )
        found = await self._find(key.strip())
        if found is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Refusal(KEY_INVALID, "expected a key that is in force, got one that is not", headers=challenge)
        return found

    async def keep_touching(self) -> None:
        """Note from time to time which keys were used. Runs until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(_TOUCH_SECONDS)
                await self._touch()
        finally:
            await self._touch()

    async def _find(self, key: str) -> Scope | None:
        hashed, now = keys.hash_key(key), time.monotonic()
        remembered = self._known.get(hashed)
        if remembered is not None and remembered[0] > now:
            found = remembered[1]
        else:
            async with self._database.session() as session:
                found = await keys.find_scope(session, key)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[hashed] = (now + _TRUST_SECONDS, found)
        if found is not None and found.key_id is not None:
            self._used.add(found.key_id)
        return found

    async def _touch(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            async with self._database.session() as session:
                await keys.touch_keys(session, used)
        except (SQLAlchemyError, OSError):
            _logger.warning("the use of %d keys was not noted: the database does not answer", len(used))


@dataclass(frozen=True, slots=True)
class Access:
    """What one request may see and do.

    Attributes:
        scope: What its key opens.
        namespace: The namespace that it is about.
        user: Whom the client says it acts for. Nothing proves it, so it never stands in place of the key's name.
    """

    scope: Scope
    namespace: str
    user: str | None = None

    @property
    def author(self) -> str | None:
        """Who changes something, for the records; None when nobody said."""
        if self.scope.key_id is None:
            return self.user
        return self.scope.name if self.user is None else f"{self.user} ({self.scope.name})"

    @property
    def actor(self) -> str:
        """Who changes something, for the audit."""
        return self.author or self.scope.name

    def sees(self, group: str) -> bool:
        """Tell whether a group of the namespace is visible."""
        return self.scope.allows(self.namespace, group)

    def require_group(self, group: str) -> None:
        """Refuse a group that the key does not open."""
        if not self.sees(group):
            detail = f"expected group {self.scope.group!r}, which is all that this key opens, got {group!r}"
            raise Refusal(OUT_OF_SCOPE, detail)

    def require_namespace(self, namespace: str | None = None) -> None:
        """Refuse unless the key opens a whole namespace, that of the request unless another is given."""
        if not self.scope.allows(namespace or self.namespace):
            detail = (
                f"this needs a key for the whole namespace {namespace or self.namespace!r}; this one opens "
                f"{_described(self.scope)}"
            )
            raise Refusal(OUT_OF_SCOPE, detail)

    def require_everything(self) -> None:
        """Refuse unless the key opens all namespaces."""
        if self.scope.namespace is not None:
            raise Refusal(OUT_OF_SCOPE, f"this needs a key for all namespaces; this one opens {_described(self.scope)}")

    def group_filter(self, asked: str | None) -> str | None:
        """Tell which group a list shows; None for all.

        Args:
            asked: The group that the request asks for.

        Raises:
            Refusal: It is not the group of the key.
        """
        if asked is not None:
            self.require_group(asked)
        return asked or self.scope.group


def make_access(scope: Scope, header: str | None, query: str | None, user: str | None = None) -> Access:
    """Settle the namespace of a request.

    Args:
        scope: What the key opens.
        header: Namespace by the header.
        query: Namespace by the query, which wins: a link carries it.
        user: Whom the client acts for, percent-encoded.

    Raises:
        Refusal: The key does not open that namespace.
    """
    namespace = query or header or scope.namespace or "default"
    if scope.namespace is not None and scope.namespace != namespace:
        raise Refusal(
            OUT_OF_SCOPE, f"expected namespace {scope.namespace!r}, all that this key opens, got {namespace!r}"
        )
    return Access(scope, namespace, None if user is None else read_user(user))


def read_user(header: str) -> str | None:
    """Read the name of a person from a header, which holds ASCII only, so that other letters are percent-encoded.

    Args:
        header: What came.

    Returns:
        The name; None when it is blank.

    Raises:
        Refusal: It is not UTF-8, not printable, or too long.
    """
    try:
        name = unquote(header, errors="strict").strip()
    except UnicodeDecodeError:
        name = "\0"
    if not name.isprintable() or len(name) > _LONGEST_USER:
        expected = f"expected up to {_LONGEST_USER} printable characters, percent-encoded as UTF-8"
        raise invalid_field(USER_HEADER, f"{expected}, got {shown(header)}")
    return name or None


def _described(scope: Scope) -> str:
    if scope.group is not None:
        return f"group {scope.group!r} of namespace {scope.namespace!r}"
    return "everything" if scope.namespace is None else f"namespace {scope.namespace!r}"
