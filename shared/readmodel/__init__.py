"""The read model: every state anybody sees, as tables in PostgreSQL, folded from the log and never the truth itself.

`connect.py` and `bootstrap.py` make roles and schemas, `store.py` is what services write and restore through,
`tenant_queries.py` is all that the tenant API can reach, `generations.py` and `checksums.py`
keep several of them apart and compare them.
"""
