from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrive.core.fingerprint import fingerprint, normalise

STACK = """Traceback (most recent call last):
  File "/srv/app/main.py", line 3, in <module>
    main()
  File "/srv/app/orders.py", line 14, in charge
    client.post(url)
  File "/usr/lib/python3/site-packages/httpx/_client.py", line 914, in post
    return self.send(request)
  File "/usr/lib/python3/site-packages/httpx/_transport.py", line 77, in send
    raise ConnectError(message)
httpx.ConnectError: refused
"""
printed_numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)).map(str)
plain_words = st.lists(st.sampled_from(["order", "was", "not", "found", "in", "the", "can't", "open"]), max_size=6)


def same(one: str, other: str) -> bool:
    return fingerprint("E", one) == fingerprint("E", other)


class TestWhatDoesNotMatter:
    @settings(max_examples=300)
    @given(plain_words, printed_numbers, printed_numbers, plain_words)
    def test_numbers(self, before: list[str], one: str, other: str, after: list[str]) -> None:
        """Of whatever length and sign: an id that grew to twelve digits is the same id."""
        assert same(" ".join([*before, one, *after]), " ".join([*before, other, *after]))

    @pytest.mark.parametrize("other", ["1.5", "-3", "1e-05", "12:30:45", "10.0.0.1", "1_000", "0x7fa3", "0xDEAD"])
    def test_the_notation_of_a_number(self, other: str) -> None:
        assert same("failed at 7 of it", f"failed at {other} of it")

    @given(st.uuids(), st.uuids(), plain_words)
    def test_uuids(self, one: UUID, other: UUID, words: list[str]) -> None:
        assert same(f"task {one} {' '.join(words)}", f"task {str(other).upper()} {' '.join(words)}")

    @given(st.uuids(), st.uuids())
    def test_uuids_without_dashes(self, one: UUID, other: UUID) -> None:
        assert same(f"trace_{one.hex} lost", f"trace_{other.hex} lost")

    @given(st.text(alphabet="abc XYZ_/.-", max_size=20), st.text(alphabet="abc XYZ_/.-", max_size=20))
    def test_quoted_values(self, one: str, other: str) -> None:
        assert same(f"can't open '{one}' for user", f"can't open '{other}' for user")
        assert same(f'can\'t open "{one}" for user', f'can\'t open "{other}" for user')

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("no file 'it's here' found", "no file 'there' found"),
            ("key b'abc' unknown", "key b'xyz' unknown"),
            ("'a' is not 'b'", "'x y' is not 'z'"),
            ("GET https://a.example/x?y=1 failed", "GET https://b.example/other failed"),
            ("GET 'https://a.example/x' failed for 'bob'", "GET 'https://b.example/' failed for 'eve'"),
            ("mail to bob@example.com bounced", "mail to eve.smith+x@mail.example.org bounced"),
            ("object at 0x7f3a2b failed", "object at 0x1 failed"),
        ],
    )
    def test_other_values(self, one: str, other: str) -> None:
        assert same(one, other)

    def test_what_follows_the_first_line(self) -> None:
        assert same("broken pipe\ndetail 1: abc", "broken pipe\r\nother detail")

    def test_space_around_the_message(self) -> None:
        assert same("  broken pipe  ", "broken pipe")

    def test_the_length_of_numbers_in_a_message_that_is_cut(self) -> None:
        text = " and ".join(f"row {{}} of {column}" for column in "abcdefghijklmnopqrstuvwxyz" * 2)

        assert same(text.format(*[5] * 52), text.format(*[123_456_789] * 52))

    def test_line_numbers_and_folders_of_the_stack(self) -> None:
        """An edit elsewhere in the file, or another machine, does not make a new error of an old one."""
        moved = STACK.replace("line 14", "line 99").replace("/usr/lib/python3/", "/home/me/.venv/lib/")

        assert fingerprint("E", "m", STACK) == fingerprint("E", "m", moved)

    def test_the_folders_of_another_system(self) -> None:
        windows = STACK.replace("/srv/app/", "C:\\srv\\app\\")

        assert fingerprint("E", "m", STACK) == fingerprint("E", "m", windows)

    def test_frames_far_from_the_error(self) -> None:
        assert fingerprint("E", "m", STACK) == fingerprint("E", "m", STACK.replace("main.py", "other.py"))


class TestWhatMatters:
    def test_the_class(self) -> None:
        assert fingerprint("TimeoutError", "m") != fingerprint("ConnectError", "m")

    def test_the_words(self) -> None:
        assert not same("order 5 was not found", "order 5 was not paid")

    @pytest.mark.parametrize(("old", "new"), [("in charge", "in refund"), ("orders.py", "x.py"), ("in send", "in go")])
    def test_the_last_frames(self, old: str, new: str) -> None:
        assert fingerprint("E", "m", STACK) != fingerprint("E", "m", STACK.replace(old, new))

    def test_having_a_stack_at_all(self) -> None:
        assert fingerprint("E", "m", STACK) != fingerprint("E", "m")

    def test_the_words_between_values(self) -> None:
        assert not same("'a' before 'b'", "'a' after 'b'")

    def test_a_word_in_a_contraction_is_not_a_quotation(self) -> None:
        assert not same("can't read and can't seek", "can't write and can't seek")


@given(st.text(), st.text(), st.none() | st.text())
def test_a_fingerprint_is_sixteen_hexadecimal_digits_whatever_came(
    error_type: str, message: str, stack: str | None
) -> None:
    name = fingerprint(error_type, message, stack)

    assert len(name) == 16
    assert int(name, 16) >= 0
    assert name == fingerprint(error_type, message, stack)


@pytest.mark.parametrize("message", ["", " ", "\n\n", "\ud800", "\x00"])
def test_a_message_without_words_has_a_fingerprint(message: str) -> None:
    assert len(fingerprint("E", message)) == 16


@pytest.mark.parametrize(
    "piece",
    ["a", "1", "1.", "1e", "a@", "a.", "a-", "'", " '", "'a", " 'a", '"', "0x", "f", "f-", "http://", "1:1", "-", "+1",
     'File "', 'File "x", line 1, in f\n', "Ü", "aaaaaaaa-aaaa-aaaa-aaaa-"],
)  # fmt: skip
def test_a_huge_message_is_named(piece: str) -> None:
    """No pattern backtracks over the whole message: with one that does, 5 MB outlast the time-out of any test."""
    huge = piece * (5_000_000 // len(piece))

    assert len(fingerprint("E", huge, huge)) == 16


def test_a_message_is_normalised_for_reading() -> None:
    message = "order 7 of 'bob' (bob@example.com) at https://x.example/1 failed: 3f2504e0-4f89-11d3-9a0c-0305e82c3301"

    assert normalise(message) == "order <n> of <value> (<email>) at <url> failed: <uuid>"
