import re
from collections import Counter

import pytest

from redrive.core.states import OPEN, REPLAYABLE, TERMINAL, TRANSITIONS, TaskStatus, sources_of, state_diagram


def test_the_table_has_a_row_for_every_state_and_leads_to_known_states_only() -> None:
    assert set(TRANSITIONS) == set(TaskStatus)
    assert all(targets <= set(TaskStatus) for targets in TRANSITIONS.values())


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[TaskStatus.DEAD] = frozenset()  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_every_state_is_either_open_or_terminal() -> None:
    assert set(TaskStatus) == OPEN | TERMINAL
    assert not OPEN & TERMINAL


def test_terminal_states_lead_to_pending_or_nowhere() -> None:
    assert {status: TRANSITIONS[status] for status in TERMINAL} == {
        TaskStatus.SUCCEEDED: frozenset(),
        TaskStatus.DEAD: frozenset({TaskStatus.PENDING}),
        TaskStatus.CANCELLED: frozenset({TaskStatus.PENDING}),
    }


def test_exactly_the_replayable_states_lead_out_of_the_end() -> None:
    assert {status for status in TERMINAL if TRANSITIONS[status]} == REPLAYABLE


def test_no_state_leads_to_itself() -> None:
    """A compare-and-set to the same state would let a second writer believe that it was the first."""
    assert not [status for status, targets in TRANSITIONS.items() if status in targets]


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_open_state_reaches_every_end(status: TaskStatus) -> None:
    reached, waiting = {status}, [status]
    while waiting:
        new = TRANSITIONS[waiting.pop()] - reached
        reached |= new
        waiting += new & OPEN  # without the way through a replay

    assert reached >= TERMINAL


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_open_state_can_be_cancelled_and_can_die_at_once(status: TaskStatus) -> None:
    assert {TaskStatus.CANCELLED, TaskStatus.DEAD} <= TRANSITIONS[status]


def test_only_a_running_task_succeeds() -> None:
    assert sources_of(TaskStatus.SUCCEEDED) == {TaskStatus.RUNNING}


@pytest.mark.parametrize("target", list(TaskStatus))
def test_the_sources_of_a_state_are_the_rows_that_name_it(target: TaskStatus) -> None:
    assert {source for source in TaskStatus if target in TRANSITIONS[source]} == sources_of(target)


def test_the_diagram_mentions_each_transition_exactly_once() -> None:
    drawn = Counter(re.findall(r"^    (\S+) --> (\S+)$", state_diagram(), re.MULTILINE))

    expected = Counter((source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets)
    expected[("[*]", "pending")] = 1
    expected.update((status.value, "[*]") for status in TERMINAL)
    assert drawn == expected


def test_the_diagram_is_nothing_but_its_head_and_the_transitions() -> None:
    head, *lines = state_diagram().splitlines()

    assert head == "stateDiagram-v2"
    assert all(re.fullmatch(r"    \S+ --> \S+", line) for line in lines)
    assert state_diagram() == state_diagram()
