"""Measurements. Each prints a table and compares with something that runs beside it; none of them asserts."""
