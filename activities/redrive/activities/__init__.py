"""Side effects: sending attempts to their targets, and writing decisions into the mirror.

Each activity is a method of a class that is given what it needs, so that a test can hand it another database or another
HTTP transport.
"""
