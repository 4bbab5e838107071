"""What the demo may delete, and how it refuses what it cannot use."""

from pathlib import Path

import pytest
from examples.shop.__main__ import main
from examples.shop.stage import check_folder

from redrive.cli.stack.errors import DataFolderError


@pytest.mark.parametrize(
    "names", [[], ["lock"], ["lock", "demo.json", "stack", "shop.log"]], ids=["empty", "lock", "demo"]
)
def test_takes_a_folder_that_is_empty_or_its_own(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()

    check_folder(tmp_path)


def test_takes_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder")


def test_refuses_a_folder_with_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")

    with pytest.raises(DataFolderError, match="other data than a demo's"):
        check_folder(tmp_path)
    assert main(["--data-dir", str(tmp_path)]) == 2

    assert "choose an empty or a new folder with --data-dir" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "ten years of work"


@pytest.mark.parametrize(
    "arguments", [["--bogus"], ["--orders", "0"], ["--orders", "many"], ["--port", "-1"], ["--port", "65536"], ["once"]]
)
def test_answers_a_bad_option_with_its_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")
