"""`redrive policy simulate`: where the policy comes from, what is shown, and how it fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrive.cli.plots import band, bars, duration, marker

from .conftest import FakeApi, Run

SIMULATE = "POST /v1/policies/simulate"
FIXED = '{"backoff": {"kind": "fixed", "delay_seconds": 60, "jitter": {"kind": "none"}}, "max_attempts": 3}'


def simulated(run: Run, *arguments: str, stdin: str | None = None) -> dict[str, Any]:
    result = run("policy", "simulate", *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_file_is_simulated_without_a_server(api: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(FIXED)

    found = simulated(run, str(file), "--outage", "2m", "--tasks", "10", "--attempt", "0s")

    assert [attempt["starts"]["median_seconds"] for attempt in found["attempts"]] == [60, 120, 180]
    assert (found["survival"], found["load"]["attempts"]) == (1, 20)
    assert api.requests == []


def test_yaml_is_read_as_well(run: Run) -> None:
    text = "backoff:\n  kind: fixed\n  delay_seconds: 5\n  jitter: {kind: none}\nmax_attempts: 2\n"

    found = simulated(run, "-", stdin=text)

    assert found["policy"]["max_attempts"] == 2
    assert found["attempts"][0]["starts"]["latest_seconds"] == 5


def test_a_person_sees_the_schedule_the_survival_and_the_load(run: Run) -> None:
    result = run("policy", "simulate", "-", "--outage", "90s", "--tasks", "4000", stdin=FIXED)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.stderr
    assert lines[0].split()[:5] == ["attempt", "earliest", "median", "latest", "reached"]
    assert lines[1].split()[:8] == ["1", "60", "s", "60", "s", "60", "s", "100%"]
    assert "An outage of 90 s: 100% survive, 0 of 4,000 tasks are lost." in result.stdout
    assert "Every task survives an outage of up to 3 min." in result.stdout
    assert "2.0 attempts per task" in result.stdout
    assert "Peak after the outage: 4,000 requests per second at 2 min." in result.stdout
    assert "█" in result.stdout
    assert "▲ the target is back" in result.stdout


def test_a_policy_that_expires_at_once_is_said_so(run: Run) -> None:
    result = run("policy", "simulate", "-", "--deadline", "5s", stdin=FIXED)

    assert result.exit_code == 0
    assert "expires before the first one" in result.stdout


def test_a_scene_is_asked_of_the_server(api: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "parts.json"
    file.write_text('{"max_attempts": 4}')
    api.answer(SIMULATE, {"answer": 1})

    found = simulated(
        run, str(file), "--group", "orders", "--scene", "charge-card", "--outage", "1h", "--seed", "3", "-n", "staging"
    )

    assert found == {"answer": 1}
    (request,) = api.requests
    assert request.headers["redrive-namespace"] == "staging"
    assert request.document == {
        "policy": {"max_attempts": 4},
        "group": "orders",
        "scene": "charge-card",
        "outage_seconds": 3600,
        "tasks": 1000,
        "attempt_seconds": 1,
        "deadline_seconds": None,
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"max_attempt": 3}', "policy.max_attempt: unknown field, did you mean 'max_attempts'?"),
        ('{"max_attempts": 0}', "policy.max_attempts: expected a whole number from 1"),
        ('{"max_attempts": ', "line 1: not JSON"),
        ("max_attempts: [1", "not YAML"),
        ("max_attempts: 3\nmax_attempts: 4\n", "line 2: 'max_attempts' is given twice"),
        ("- 1", "expected an object, got a list"),
        ("max_elapsed_seconds: .inf", "max_elapsed_seconds: expected a finite number"),
        ("backoff: {1: 2}", "backoff.1: expected a name that is text, got a number"),
        ("route: 2026-01-01", "route: expected text, got a date"),
    ],
)
def test_a_bad_file_exits_2_and_names_the_place(run: Run, text: str, message: str) -> None:
    result = run("policy", "simulate", "-", stdin=text)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_file_exits_2(run: Run) -> None:
    result = run("policy", "simulate", "/nowhere/policy.yaml")

    assert result.exit_code == 2
    assert "cannot read /nowhere/policy.yaml" in result.stderr


def test_a_scene_without_its_group_is_refused(run: Run) -> None:
    result = run("policy", "simulate", "--scene", "charge-card")

    assert result.exit_code == 2
    assert "--group" in result.stderr


class TestPlots:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "0 s"), (0.25, "250 ms"), (4.5, "4.5 s"), (90, "90 s"), (720, "12 min"), (7200, "2 h"), (259_200, "3 d")],
    )
    def test_durations_have_the_unit_that_suits_them(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_a_bar_is_as_high_as_its_share_and_never_lost(self) -> None:
        assert bars([0, 1, 400, 800]) == " ▁▄█"
        assert bars([0, 0]) == "  "
        assert bars([]) == ""

    def test_a_marker_points_at_its_place(self) -> None:
        assert marker(5, 10, 10, "here") == "     ▲ here"
        assert marker(10, 10, 10, "end") == "         ▲ end"

    @given(st.lists(st.floats(0, 1e7), min_size=4, max_size=4), st.integers(2, 80))
    def test_a_band_stays_on_its_axis_and_has_its_median(self, times: list[float], width: int) -> None:
        earliest, median, latest, upto = sorted(times)

        drawn = band(earliest, median, latest, upto, width)

        assert len(drawn) <= width
        assert drawn.count("●") == 1
