"""Everything that the API refuses, as RFC 9457 problems.

Each kind of problem has a stable `type`, `/problems/<name>`, which is also the address of a page that explains it. Code
raises `Refusal` with a kind; what other parts raise is mapped to a kind by `failures`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response

from redrive.core.errors import RedriveError

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    Attributes:
        name: Last part of its `type`.
        status: HTTP status.
        title: What it is, the same for each occurrence.
        advice: What to do about it; a paragraph of its page.
    """

    name: str
    status: int
    title: str
    advice: str

    @property
    def type(self) -> str:
        """The problem's URI reference."""
        return f"/problems/{self.name}"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field.

    Attributes:
        field: Where, such as `policy.backoff.max_seconds`; empty for the whole document.
        message: What was expected and what came.
    """

    field: str
    message: str


class Refusal(RedriveError):
    """A request that cannot be carried out.

    Args:
        kind: What kind of problem it is.
        detail: What was expected, what came and what to do, this time.
        errors: The fields at fault.
        headers: Headers that the answer must have.
    """

    def __init__(
        self, kind: Kind, detail: str, errors: Sequence[FieldProblem] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Write the problem as a JSON object."""
        document: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return document

    def response(self) -> Response:
        """Write the problem as an answer."""
        # ASCII, because a message may quote text that is no valid Unicode.
        content = json.dumps(self.document(), ensure_ascii=True)
        return Response(content, self.kind.status, self.headers, media_type=MEDIA_TYPE)


MALFORMED_JSON: Final = Kind(
    "malformed-json", 422, "The body is not JSON",
    "Send a JSON document in UTF-8 with `Content-Type: application/json`. NaN and Infinity are not JSON; numbers must "
    "fit a double; at most 200 levels of nesting are read.",
)  # fmt: skip
INVALID_REQUEST: Final = Kind(
    "invalid-request", 422, "The request has invalid fields",
    "`errors` names each field with what was expected and what came. Nothing was written.",
)  # fmt: skip
BODY_TOO_LARGE: Final = Kind(
    "body-too-large", 413, "The body is too large",
    "A task may have 1 MiB, a batch 64 MiB. Store the large part elsewhere and report its address.",
)  # fmt: skip
UNSUPPORTED_ENCODING: Final = Kind(
    "unsupported-encoding", 415, "The body's encoding is not supported",
    "Send the body as it is, or with `Content-Encoding: gzip`.",
)  # fmt: skip
UNSUPPORTED_MEDIA_TYPE: Final = Kind(
    "unsupported-media-type", 415, "The body's media type is not supported",
    "Send JSON with `Content-Type: application/json`.",
)  # fmt: skip
KEY_REQUIRED: Final = Kind(
    "api-key-required", 401, "An API key is required",
    "Send `Authorization: Bearer <key>`. `redrive keys create` makes a key.",
)  # fmt: skip
KEY_INVALID: Final = Kind(
    "api-key-invalid", 401, "The API key is not valid",
    "The key is unknown, revoked or expired. `redrive keys list` shows the keys, `redrive keys create` makes one.",
)  # fmt: skip
FOREIGN_PAGE: Final = Kind(
    "foreign-page", 403, "The request comes from another site",
    "Where no API key is required, requests must be meant for this machine, so that no web page can use your browser "
    "against it. Ask for `localhost`, set `REDRIVE_PUBLIC_URL` to the name that you use, or require keys.",
)  # fmt: skip
OUT_OF_SCOPE: Final = Kind(
    "out-of-scope", 403, "The API key does not open this",
    "A key may be bound to one namespace, or to one group of it. Use a key with the scope that you need.",
)  # fmt: skip
NOT_FOUND: Final = Kind(
    "not-found", 404, "There is nothing at this address", "The paths of the API are listed in `/docs`."
)
METHOD_NOT_ALLOWED: Final = Kind(
    "method-not-allowed", 405, "The method is not allowed here",
    "The header `Allow` names the methods of this path; `/docs` says what they do.",
)  # fmt: skip
NAMESPACE_NOT_FOUND: Final = Kind(
    "namespace-not-found", 404, "The namespace does not exist",
    "Namespaces are never made by a report. Make one with `POST /v1/namespaces`, or correct the header "
    "`Redrive-Namespace`.",
)  # fmt: skip
GROUP_NOT_FOUND: Final = Kind(
    "group-not-found", 404, "The group does not exist",
    "Make it with `POST /v1/groups`, or let the first report make it (`auto_create`).",
)  # fmt: skip
SCENE_NOT_FOUND: Final = Kind(
    "scene-not-found", 404, "The scene does not exist",
    "Make it with `POST /v1/groups/{group}/scenes`, or let the first report make it (`auto_create`).",
)  # fmt: skip
POLICY_VERSION_NOT_FOUND: Final = Kind(
    "policy-version-not-found", 404, "The scene's policy has no such version",
    "`GET /v1/groups/{group}/scenes/{scene}/policies` lists the versions.",
)  # fmt: skip
DEAD_LETTER_GROUP_NOT_FOUND: Final = Kind(
    "dead-letter-group-not-found", 404, "There are no dead letters of this error",
    "They may have been replayed or deleted. `GET /v1/dead-letters/groups` lists the errors that there are.",
)  # fmt: skip
ARCHIVE_NOT_SET: Final = Kind(
    "archive-not-set", 409, "There is no archive",
    "Set `REDRIVE_ARCHIVE_DIR` to a folder for every API and worker process, or delete without an archive.",
)  # fmt: skip
IN_USE: Final = Kind(
    "in-use", 409, "Tasks that are not finished still need it",
    "Wait until they have ended, or cancel them; `GET /v1/tasks` with the group and the scene lists them.",
)  # fmt: skip
TASK_NOT_FOUND: Final = Kind(
    "task-not-found", 404, "The task does not exist",
    "Ids belong to one namespace; a key that is bound to a group sees the tasks of that group only.",
)  # fmt: skip
NODE_NOT_FOUND: Final = Kind(
    "node-not-found", 404, "The node is not registered",
    "Register with `POST /v1/nodes/register`; a node that is not heard of for long is forgotten.",
)  # fmt: skip
KEY_NOT_FOUND: Final = Kind(
    "api-key-not-found", 404, "The API key does not exist", "`GET /v1/keys` lists the keys that exist."
)
BREAKER_NOT_FOUND: Final = Kind(
    "breaker-not-found", 404, "Nothing is known of the target", "`GET /v1/breakers` lists the targets that were tried."
)
LIMIT_NOT_FOUND: Final = Kind(
    "limit-not-found", 404, "The scope has no limit", "`GET /v1/limits` lists the limits of the namespace."
)
PAUSE_NOT_FOUND: Final = Kind(
    "pause-not-found", 404, "The pause is not in force",
    "`GET /v1/pauses` lists the pauses that are. One whose time is over has ended by itself.",
)  # fmt: skip
REDRIVE_NOT_FOUND: Final = Kind(
    "redrive-not-found", 404, "The redrive does not exist",
    "`GET /v1/redrives` lists them. Ids belong to one namespace; a key that is bound to a group sees the redrives that "
    "are about that group alone.",
)  # fmt: skip
REDRIVE_ENDED: Final = Kind(
    "redrive-ended", 409, "The redrive has ended",
    "A redrive that is completed, stopped or aborted stays so. Start another one with the same selection: tasks that "
    "are no longer dead are not in it.",
)  # fmt: skip
REDRIVE_STATE: Final = Kind(
    "redrive-state", 409, "The redrive's state does not allow this", "The detail names the state and what is possible."
)
VIEW_NOT_FOUND: Final = Kind(
    "view-not-found", 404, "The saved view does not exist", "`GET /v1/views` lists the views of a namespace."
)
PROBLEM_NOT_FOUND: Final = Kind(
    "problem-not-found", 404, "There is no such kind of problem", "`GET /problems` lists the kinds that exist."
)
ALERT_RULE_NOT_FOUND: Final = Kind(
    "alert-rule-not-found", 404, "The alert rule does not exist", "`GET /v1/alerts/rules` lists the rules that exist."
)
ALERT_CHANNEL_NOT_FOUND: Final = Kind(
    "alert-channel-not-found", 404, "The alert channel does not exist",
    "`GET /v1/alerts/channels` lists the channels that exist.",
)  # fmt: skip
UNKNOWN_GROUP: Final = Kind(
    "unknown-group", 422, "The group is unknown and is not made by a report",
    "`auto_create` is switched off. Make the group with `POST /v1/groups`, or correct its name.",
)  # fmt: skip
UNKNOWN_SCENE: Final = Kind(
    "unknown-scene", 422, "The scene is unknown and is not made by a report",
    "`auto_create` is switched off. Make the scene with `POST /v1/groups/{group}/scenes`, or correct its name.",
)  # fmt: skip
DISABLED: Final = Kind(
    "disabled", 422, "The group or scene takes no reports",
    'Somebody switched it off. `PATCH` it with `{"enabled": true}` to take reports again.',
)  # fmt: skip
PAYLOAD_DIFFERS: Final = Kind(
    "payload-differs", 409, "The idempotency key was used with another payload",
    "One key stands for one call: same executor, arguments, body and target. Use a new key for a new call.",
)  # fmt: skip
ALREADY_EXISTS: Final = Kind(
    "already-exists", 409, "The name is taken", "Use another name, or change what exists with `PATCH`."
)
WRONG_STATE: Final = Kind(
    "wrong-state", 409, "The task's state does not allow this",
    "The detail names the state and what is possible in it. States are drawn in `docs/architecture.md`.",
)  # fmt: skip
REFUSED: Final = Kind(
    "refused", 409, "The task's workflow refused the operation",
    "The detail has the workflow's own reason. Look at the task again before you repeat it.",
)  # fmt: skip
WORKFLOW_GONE: Final = Kind(
    "workflow-gone", 409, "The task's workflow is not running",
    "The reconciler compares tasks with workflows and repairs the difference by itself, usually within a minute. "
    "Repeat the operation then.",
)  # fmt: skip
BUSY: Final = Kind(
    "busy", 409, "The task is just being started", "Its workflow is being started at this moment. Repeat the operation."
)
SUPERSEDED: Final = Kind(
    "superseded", 409, "The attempt has been delivered again",
    "A worker that is silent for ten seconds has lost its attempt: another one runs it under the same number, and only "
    "the newest delivery may say how it ended. Drop the result.",
)  # fmt: skip
DATABASE_UNAVAILABLE: Final = Kind(
    "database-unavailable", 503, "The database does not answer",
    "Nothing was acknowledged. Repeat the request after the seconds in `Retry-After`, with the same idempotency key.",
)  # fmt: skip
SCHEMA_OUTDATED: Final = Kind(
    "schema-outdated", 503, "The database has another schema than this version needs",
    "Run `redrive migrate` with this version.",
)  # fmt: skip
ENGINE_UNAVAILABLE: Final = Kind(
    "engine-unavailable", 503, "Temporal does not answer",
    "Reports are still taken. Operations on tasks that have started need Temporal: repeat after the seconds in "
    "`Retry-After`.",
)  # fmt: skip
INTERNAL: Final = Kind(
    "internal-error", 500, "Something went wrong on our side",
    "The detail has an id; the server's log has the error under the same id.",
)  # fmt: skip

KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in list(globals().values()) if isinstance(kind, Kind)}
"""All kinds by name."""
