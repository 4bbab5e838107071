"""Words and pure decisions of Redrive: what every other part may import, and what imports nothing of theirs.

Everything here is deterministic: the clock and the source of randomness are arguments.
"""
