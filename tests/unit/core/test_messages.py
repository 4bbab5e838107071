from hypothesis import given
from hypothesis import strategies as st

from redrive.core.messages import mirror_version, workflow_id

# Runs that fit a bigint; more events than a history may have; writes of one run.
writes = st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 51_200), st.integers(0, 2**20 - 1))


@given(writes, writes)
def test_versions_are_ordered_by_run_then_history_then_sequence(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    assert (mirror_version(*one) < mirror_version(*other)) == (one < other)
    assert (mirror_version(*one) == mirror_version(*other)) == (one == other)


@given(st.integers(0, 2**23 - 2), st.integers(0, 2**40), st.integers(0, 2**40))
def test_nothing_of_one_run_reaches_the_next_run(run: int, history_length: int, sequence: int) -> None:
    assert mirror_version(run, history_length, sequence) < mirror_version(run + 1, 0, 0)


@given(writes)
def test_versions_fit_a_bigint(write: tuple[int, int, int]) -> None:
    assert 0 <= mirror_version(*write) < 2**63


def test_a_workflow_is_named_by_namespace_task_and_generation() -> None:
    assert workflow_id("default", "018f", 3) == "redrive/default/018f/3"
