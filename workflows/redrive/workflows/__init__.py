"""Deterministic orchestration: the retry loop, and the worker process that runs it."""
