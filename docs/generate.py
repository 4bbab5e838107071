"""Write what is made from code: the OpenAPI document and the diagram of states.

`python -m docs.generate` writes; `python -m docs.generate --check` compares, and exits 1 when a file is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from redrive.api.app import create_app
from redrive.core.states import state_diagram
from redrive.store.settings import Settings

DOCS = Path(__file__).parent
BEGIN, END = "<!-- state diagram: begin -->", "<!-- state diagram: end -->"


def generated() -> dict[Path, str]:
    """Make the text of every generated file."""
    lifecycle = DOCS / "lifecycle.md"
    text = lifecycle.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    document = create_app(Settings()).openapi()
    return {
        DOCS / "openapi.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        lifecycle: f"{before}{BEGIN}\n```mermaid\n{state_diagram()}\n```\n{END}{after}",
    }


def main() -> int:
    """Write or compare, and return the exit code."""
    stale = [
        path for path, text in generated().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is out of date: run `make gen`", file=sys.stderr)
        return 1 if stale else 0
    texts = generated()
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
