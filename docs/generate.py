"""Write what is made from code: the OpenAPI document, the diagram of states and the table of settings.

`python -m docs.generate` writes; `python -m docs.generate --check` compares, and exits 1 when a file is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from redrive.api.app import create_app
from redrive.core.states import state_diagram
from redrive.store.settings import Settings

DOCS = Path(__file__).parent


def generated() -> dict[Path, str]:
    """Make the text of every generated file."""
    document = create_app(Settings()).openapi()
    lifecycle, operations = DOCS / "lifecycle.md", DOCS / "operations.md"
    return {
        DOCS / "openapi.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        lifecycle: _filled(lifecycle, "state diagram", f"```mermaid\n{state_diagram()}\n```"),
        operations: _filled(operations, "settings", settings_table()),
    }


def settings_table() -> str:
    """List every setting with its default and its meaning, as its docstring has it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        meaning = re.search(
            rf"^ {{8}}{name}: (.+?)(?=\n {{8}}\w+:|\n\n|\n {{4}}$)", Settings.__doc__ or "", re.MULTILINE | re.DOTALL
        )
        if meaning is None:
            raise LookupError(f"the docstring of Settings does not tell what {name} is")
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `REDRIVE_{name.upper()}` | {default} | {' '.join(meaning[1].split())} |")
    return "\n".join(lines)


def _filled(path: Path, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def main() -> int:
    """Write or compare, and return the exit code."""
    texts = generated()
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is out of date: run `make gen`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
