"""PostgreSQL behind Redrive: tables, migrations, and one module of queries per aggregate.

Queries never commit; the transaction belongs to the caller (`Database.begin`). No SQL lives outside this part.
"""
