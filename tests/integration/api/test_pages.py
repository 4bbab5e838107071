"""Pages for people."""

from __future__ import annotations

import re

import pytest
from tests.integration.api.client import Api, problem

from redrive.api.problems import KINDS


async def test_the_first_page_runs_its_own_script_and_nothing_else(api: Api) -> None:
    answer = await api.get("/")

    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in answer.text
    assert "https://" not in answer.text


KIND_NAMES = sorted(KINDS)


async def test_every_kind_of_problem_has_a_page_at_its_type(api: Api, subtests: pytest.Subtests) -> None:
    for name in KIND_NAMES:
        with subtests.test(name=str(name)[:80]):
            answer = await api.get(KINDS[name].type)

            assert answer.status_code == 200
            assert KINDS[name].title.partition("'")[0] in answer.text
            assert KINDS[name].type in (await api.get("/problems")).text


async def test_an_unknown_kind_has_none(api: Api) -> None:
    problem(await api.get("/problems/<script>"), 404, "problem-not-found")


async def test_the_console_is_sent_as_it_was_packed_and_kept_for_ever(api: Api) -> None:
    """A first visit transfers what the build has compressed, and later ones nothing but the document."""
    page = await api.get("/")
    names = re.findall(r'(?:src|href)="(/assets/[^"]+\.(?:js|css))"', page.text)
    assert names, "the console is not built: run `make setup`"
    assert page.headers["cache-control"] == "no-cache"

    for name in names:
        for accepted, encoding in (("gzip, deflate, br", "br"), ("gzip, deflate", "gzip"), ("identity", None)):
            answer = await api.client.get(name, headers={"Accept-Encoding": accepted})
            assert answer.status_code == 200
            assert answer.headers.get("content-encoding") == encoding
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["vary"] == "Accept-Encoding"
