"""Documents in files: JSON, or YAML where PyYAML is installed."""

import importlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from redrive.cli.documents import as_object
from redrive.cli.failure import CommandError

STANDARD_INPUT = "-"


class FileError(CommandError):
    """A file does not hold what the command needs; the message names the file and the place in it."""

    exit_code = 2


def read_document(file: str) -> dict[str, Any]:
    """Read one JSON or YAML object.

    Args:
        file: Its path; `-` is standard input. What begins with `{` is JSON, all else is YAML.

    Raises:
        FileError: It cannot be read, or is no such object; the message names the place.
    """
    name = "standard input" if file == STANDARD_INPUT else file
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{name}: expected UTF-8, got other bytes at position {error.start}") from error
    value = _json(text, name) if text.lstrip().startswith("{") else _yaml(text, name)
    document = as_object(value)
    if document is None:
        raise FileError(f"{name}: expected an object, got {_kind(value)}")
    _check(document, name, "")
    return document


def write_yaml(document: Any) -> None:
    """Write a document to standard output as YAML, in the order that it has.

    Raises:
        CommandError: PyYAML is not installed.
    """
    text: str = _module().safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    sys.stdout.write(text)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(f"{name}: line {error.lineno}: not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise FileError(f"{name}: not JSON that can be read: {error}") from error


def _yaml(text: str, name: str) -> Any:
    yaml = _module()

    try:
        _refuse_repeated(yaml.compose(text, Loader=yaml.SafeLoader), name)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise FileError(f"{name}: {place}not YAML: {problem}") from error
    except RecursionError as error:
        raise FileError(f"{name}: nested too deeply") from error


def _refuse_repeated(root: Any, name: str) -> None:
    """Refuse a name that is given twice in one object, which YAML forbids and PyYAML overlooks."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(getattr(node, "value", None), list):
            continue
        seen.add(id(node))
        if node.id == "sequence":
            nodes.extend(node.value)
            continue
        keys = set[str]()
        for key, value in node.value:
            if str(key.value) in keys:
                line = key.start_mark.line + 1
                raise FileError(f"{name}: line {line}: {key.value!r} is given twice; keep one of them")
            keys.add(str(key.value))
            nodes.append(value)


def _module() -> Any:
    try:
        return importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise CommandError("YAML needs PyYAML: pip install pyyaml, or use JSON") from error


def _check(value: object, name: str, path: str) -> None:
    """Refuse what YAML has and JSON has not: names that are no text, dates, NaN."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str):
                place = f"{path}.{key}" if path else str(key)
                raise FileError(f"{name}: {place}: expected a name that is text, got {_kind(key)}; put it in quotes")
            _check(item, name, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(cast("Sequence[object]", value)):
            _check(item, name, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise FileError(f"{name}: {path}: expected a finite number, got {value}")
    elif not (value is None or isinstance(value, (str, int, float))):
        raise FileError(f"{name}: {path}: expected text, got {_kind(value)}; put it in quotes")


def _kind(value: object) -> str:
    names = {"NoneType": "nothing", "list": "a list", "str": "text", "bool": "true or false", "int": "a number"}
    kind = type(value).__name__
    return names.get(kind, f"a {kind}")
