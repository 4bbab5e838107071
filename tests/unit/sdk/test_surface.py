"""The public names, what an import costs, and that documented examples parse."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from typing import Any

import pytest

import redrive.sdk
from redrive.core.errors import RedriveError
from redrive.sdk import errors
from redrive.sdk.options import CallOptions, Options, RetryableOptions
from redrive.sdk.report import Report, ReportOptions


def test_all_is_sorted_and_names_what_is_imported() -> None:
    names = [name for name in vars(redrive.sdk) if not name.startswith(("_", "@"))]  # @: of pytest's own
    modules = {item.name for item in pkgutil.iter_modules(redrive.sdk.__path__)}
    public = sorted(name for name in names if name not in modules or callable(getattr(redrive.sdk, name)))

    # Constants, classes, functions, as ruff sorts them.
    assert redrive.sdk.__all__ == sorted(
        redrive.sdk.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert set(redrive.sdk.__all__) == set(public)


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    tree = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, RedriveError):
            assert re.search(rf"\b{name}\b", tree), name


def test_option_types_name_the_fields_of_what_they_become() -> None:
    fields = {item.name for item in dataclasses.fields(Options)}
    assert set(CallOptions.__annotations__) | set(RetryableOptions.__annotations__) == fields
    assert set(ReportOptions.__annotations__) | {"scene"} == {item.name for item in dataclasses.fields(Report)}
    for kind in (Options, Report):
        documented = set(re.findall(r"^ {8}(\w+): ", kind.__doc__ or "", re.MULTILINE))
        assert documented == {item.name for item in dataclasses.fields(kind)}


def test_importing_the_sdk_is_light() -> None:
    code = "import sys, json, redrive.sdk; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    heavy = {
        "httpx",
        "asyncio",
        "sqlite3",
        "temporalio",
        "pydantic",
        "fastapi",
        "sqlalchemy",
        "croniter",
        "email",
        "ssl",
    }
    assert heavy.isdisjoint(loaded)
    outside = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"redrive", "__main__"}
    assert {name for name in outside if not name.startswith(("_", "sitecustomize"))} == set()


def _documented() -> list[Any]:
    found: list[Any] = []
    for item in pkgutil.iter_modules(redrive.sdk.__path__):
        if item.name == "pytest_plugin":
            continue
        module = import_module(f"redrive.sdk.{item.name}")
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_"):
                found.append(pytest.param(value, id=f"{item.name}.{name}"))
                if inspect.isclass(value):
                    found += [
                        pytest.param(method, id=f"{item.name}.{name}.{key}")
                        for key, method in vars(value).items()
                        if inspect.isfunction(method) and not key.startswith("_")
                    ]
    return found


@pytest.mark.parametrize("value", _documented())
def test_examples_in_docstrings_are_python(value: Any) -> None:
    for block in re.findall(r"```python\n(.*?)```", inspect.getdoc(value) or "", re.DOTALL):
        code = textwrap.dedent(block)
        if "await " in code or "async with" in code:
            ast.parse("async def example():\n" + textwrap.indent(code, "    "))
        else:
            ast.parse(code)


@pytest.mark.parametrize("name", redrive.sdk.__all__)
def test_public_names_are_documented(name: str) -> None:
    value = getattr(redrive.sdk, name)
    if inspect.isfunction(value):
        text = value.__doc__ or ""
        assert "Example:" in text
        takes = [item for item in inspect.signature(value).parameters if item != "self"]
        assert "Args:" in text or not takes
        assert "Returns:" in text or inspect.signature(value).return_annotation == "None"
