"""Puts the built console into the wheel."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `console/dist` to the package that serves it, when there is one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folder before the wheel is made; an editable install serves the repository's own."""
        folder = Path(self.root) / "console" / "dist"
        if version != "editable" and (folder / "index.html").is_file():
            build_data["force_include"][str(folder)] = "redrive/api/console_files"
