"""Settings of every server process, read once from `REDRIVE_*` and passed down.

They live beside the database because that is the lowest part that any server process needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, HttpUrl, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

LogLevel = Literal["debug", "info", "warning", "error"]

_URL = TypeAdapter(HttpUrl)


class Settings(BaseSettings):
    """What an operator may set, each as `REDRIVE_<NAME>`.

    Attributes:
        database_url: PostgreSQL URL.
        database_pool_size: The most connections of one process.
        temporal_address: `host:port` of the Temporal frontend; None takes Temporal's own environment configuration
            (`TEMPORAL_ADDRESS`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, profiles).
        temporal_namespace: Temporal namespace for the workflows; None as above.
        temporal_ui_url: Where people open Temporal's own console; None leaves its links out.
        task_queue: Temporal task queue of Redrive's workers.
        host: Address that the API listens on.
        port: Port that the API listens on.
        public_url: The API's address as people and webhooks see it.
        console_url: Where people open the console, for the links in alerts; None for `public_url`.
        require_api_key: Whether requests need a key.
        auto_create: Whether unknown groups and scenes are created by the first report.
        starter_concurrency: Workflow starts in flight per API process.
        worker_concurrency: Attempts in flight per worker process.
        alerts_seconds: Time between two evaluations of an alert rule, in seconds; costly ones are evaluated less often.
        reconcile_seconds: Time between two comparisons of engine and mirror, in seconds.
        worker_metrics_address: `host:port` where a worker process shows Prometheus what Temporal's SDK measures of it;
            None shows nothing. The API has `/metrics` of its own.
        shutdown_seconds: How long a stopping process may finish what it has begun, in seconds.
        archive_dir: Folder for tasks that are archived before they are deleted; None for no archive.
        log_level: Least severe level that is logged.
        log_format: `text` for people, `json` for machines.
    """

    model_config = SettingsConfigDict(env_prefix="REDRIVE_", frozen=True, extra="ignore")

    database_url: str = "postgresql://redrive@127.0.0.1:5432/redrive"
    database_pool_size: Annotated[int, Field(ge=2, le=200)] = 12
    temporal_address: str | None = None
    temporal_namespace: str | None = None
    temporal_ui_url: str | None = None
    task_queue: Annotated[str, Field(min_length=1, max_length=200)] = "redrive"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8600
    public_url: str | None = None
    console_url: str | None = None
    require_api_key: bool = True
    auto_create: bool = True
    starter_concurrency: Annotated[int, Field(ge=1, le=500)] = 32
    worker_concurrency: Annotated[int, Field(ge=1, le=2000)] = 100
    alerts_seconds: Annotated[float, Field(ge=0.05, le=3600)] = 5
    reconcile_seconds: Annotated[float, Field(ge=1)] = 60
    worker_metrics_address: Annotated[str, Field(pattern=r"^[^:\s]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$")] | None = (
        None
    )
    shutdown_seconds: Annotated[float, Field(ge=0)] = 10
    archive_dir: Path | None = None
    log_level: LogLevel = "info"
    log_format: Literal["text", "json"] = "text"

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("expected a URL such as postgresql://user:password@host:5432/redrive") from None
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise ValueError(f"expected a postgresql:// URL, got {url.get_backend_name()}://")
        if not url.database:
            raise ValueError("expected the name of a database at the end of the URL, such as …/redrive")
        return value

    @field_validator("public_url", "console_url", "temporal_ui_url")
    @classmethod
    def _without_trailing_slash(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            _URL.validate_python(value)
        except ValidationError:
            raise ValueError(f"expected an http or https URL, got {value!r}") from None
        return value.rstrip("/")

    @model_validator(mode="after")
    def _keys_off_loopback(self) -> Self:
        if not self.require_api_key and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                f"REDRIVE_REQUIRE_API_KEY=false is for loopback only, and REDRIVE_HOST is {self.host!r}: "
                "set it to true and make a key with `redrive keys create`"
            )
        return self

    def environment(self) -> dict[str, str]:
        """Write the settings that were given as environment variables, for a child process."""
        given: dict[str, Any] = self.model_dump(exclude_unset=True, exclude_none=True)
        return {f"REDRIVE_{name.upper()}": str(value) for name, value in given.items()}
