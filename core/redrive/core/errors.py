"""Errors of the core.

RedriveError
└── InvalidDocument        a JSON document does not have the agreed form
    └── InvalidPolicy      a policy is well-formed but impossible
"""

from __future__ import annotations


class RedriveError(Exception):
    """Base of every error that Redrive raises on purpose."""


class InvalidDocument(RedriveError, ValueError):
    """A document that does not have the agreed form.

    Args:
        path: Where in the document, for example `policy.backoff.max_seconds`.
        problem: What was expected, what came, and what to do.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class InvalidPolicy(InvalidDocument):
    """A policy whose parts have the right types but cannot be applied together."""
