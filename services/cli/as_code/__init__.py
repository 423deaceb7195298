"""Workflows as files: `upshot export` writes them, `upshot apply` makes the platform agree with them. Over the HTTP API, so
that both work from any machine.

`files.py` is a workflow's file, `plan.py` what there is to do, `api.py` the way to the platform; `export.py` and `apply.py` act.
"""
