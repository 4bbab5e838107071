"""The OpenAPI document, and the API held against it by Schemathesis."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from tests.integration.api.client import NOBODY

from redrive.api.app import create_app
from redrive.cli.stack import EmbeddedPostgres
from redrive.core.policy import Policy
from redrive.store.settings import Settings

# Schemathesis is typed for itself and not for its users: the strict checker knows none of its decorators.
schemathesis: Any = importlib.import_module("schemathesis")
checks: Any = importlib.import_module("schemathesis.specs.openapi.checks")

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]

BATCH = "/v1/tasks/batch"
IMPORT = "/v1/tasks/import"


@contextlib.contextmanager
def serving(app: Any) -> Generator[str]:
    """Serve the API in a thread; Schemathesis is a client like any other."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def address(postgres_server: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """The address of an API with a database for this module."""
    with psycopg.connect(postgres_server.database_url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE contract TEMPLATE "{database_template}"'.encode())
    url = postgres_server.database_url("contract")
    with serving(create_app(Settings(database_url=url, require_api_key=False, temporal_address=NOBODY))) as address:
        yield address


@pytest.fixture(scope="module")
def contract(address: str) -> Any:
    """The API's own description of itself. Keys are not asked for here: other tests hold them to every route."""
    described = httpx.get(f"{address}/openapi.json").json()
    for path in described["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
    loaded = schemathesis.openapi.from_dict(described)
    loaded.config.update(base_url=address)
    return loaded


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_api_does_what_its_description_says(contract: Any, mode: str, subtests: pytest.Subtests) -> None:
    """Whatever comes, good or bad, it is no server error, and what goes is described."""
    # Not by `schema.parametrize()`: its lazy schemas do not work with this version of pytest.
    for found in contract.get_all_operations():
        operation: Any = found.ok()
        if operation.path == IMPORT:
            continue  # Schemathesis cannot write JSON lines; any line whatsoever is read by a test of its own
        if mode == "negative" and operation.definition.raw.keys().isdisjoint({"parameters", "requestBody"}):
            continue  # there is nothing that could be wrong
        with subtests.test(operation=operation.label):
            _hold_against_its_description(operation, schemathesis.GenerationMode(mode))


def _hold_against_its_description(operation: Any, mode: Any) -> None:
    # A batch refuses its bad reports one by one.
    held = [check for check in CHECKS if check is not checks.negative_data_rejection or operation.path != BATCH]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def check(case: Any) -> None:
        case.call_and_validate(checks=held, timeout=20)

    check()


def document() -> dict[str, Any]:
    app = create_app(Settings(require_api_key=False))
    return app.openapi()


def test_every_operation_has_a_good_id_a_summary_and_a_description() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"].startswith(f"{operation['tags'][0]}-"), (method, path)
            assert operation.get("description"), (method, path)


def test_operation_ids_are_unique() -> None:
    found = [operation["operationId"] for path in document()["paths"].values() for operation in path.values()]

    assert len(found) == len(set(found))
    assert "tasks-report_task" in found


FILES = {"/v1/dead-letters/export": {"application/x-ndjson", "text/csv"}, "/v1/tasks/import": {"application/x-ndjson"}}


def test_errors_are_problems_and_nothing_else() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                media = set(response.get("content", {}))
                expected = {"application/problem+json"} if status >= "400" else FILES.get(path, {"application/json"})
                assert media == (set() if status == "204" else expected), (method, path, status)
            if path.startswith("/v1/"):
                assert {"401", "403", "422", "500", "503"} <= set(operation["responses"]), (method, path)
    assert "HTTPValidationError" not in document()["components"]["schemas"]


def test_the_whole_policy_and_all_targets_are_described() -> None:
    schemas = document()["components"]["schemas"]

    report = schemas["TaskReport"]["properties"]
    assert {"$ref": "#/components/schemas/Policy"} in report["policy"]["anyOf"]
    assert set(schemas["Policy"]["properties"]) == {field.name for field in dataclasses.fields(Policy)}
    backoffs = {option["$ref"].rpartition("/")[2] for option in schemas["Policy"]["properties"]["backoff"]["anyOf"]}
    assert backoffs == {
        "FixedBackoff", "LinearBackoff", "ExponentialBackoff", "DelayLevelsBackoff", "RandomBackoff", "CronBackoff",
    }  # fmt: skip
    targets = {option["$ref"].rpartition("/")[2] for option in report["target"]["anyOf"]}
    assert targets == {"NodeTarget", "WorkerTarget", "WebhookTarget"}
    assert schemas["BatchReport"]["properties"]["tasks"]["items"] == {"$ref": "#/components/schemas/TaskReport"}
