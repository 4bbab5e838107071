"""How routes read bodies and refuse what they cannot read."""

from __future__ import annotations

import email.message
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from redrive.api.failures import refusal_of
from redrive.api.problems import UNSUPPORTED_MEDIA_TYPE, Refusal
from redrive.api.strict_json import parse
from redrive.api.validation import field_problems, invalid


class _StrictRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """Read the body as JSON."""
        return parse(await self.body())


class Route(APIRoute):
    """A route that reads JSON strictly and answers errors as problems, in the words of the body's model."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        model = None if self.body_field is None else self.body_field.field_info.annotation

        async def handle_strictly(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            try:
                if model is not None:
                    await _check_media_type(strict)
                return await handle(strict)
            except RequestValidationError as error:
                return invalid(field_problems(error.errors(), model)).response()
            except HTTPException as error:
                # FastAPI wraps what is raised while the body is read.
                return refusal_of(error).response()
            except Refusal as error:
                return error.response()

        return handle_strictly


async def _check_media_type(request: Request) -> None:
    """Refuse a body that does not say that it is JSON.

    A browser sends such a body to any site without asking; JSON it does not.
    """
    message = email.message.Message()
    message["content-type"] = given = request.headers.get("content-type", "")
    is_json = message.get_content_type() == "application/json" or message.get_content_subtype().endswith("+json")
    if not (given and is_json) and await request.body():
        raise Refusal(UNSUPPORTED_MEDIA_TYPE, f"expected `Content-Type: application/json`, got {given[:80]!r}")
