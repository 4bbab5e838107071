"""Hypothesis looks for new counterexamples in every run; no deadline, because CI machines pause."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", deadline=None, max_examples=60, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
