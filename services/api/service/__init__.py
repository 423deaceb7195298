"""The API's shell: `ports.py` names what it needs, `commands.py` carries out what is asked for, `log_reader.py` reads records
by position; one file for each kind of thing that is changed.
"""
