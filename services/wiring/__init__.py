"""How each service is put together, once for all forms: alone in a process (`services/processes.py`) or all in one
(`services/embedded.py`).

`common.py` is what every service stands on, `acting.py` those that follow the log, `serving.py` those that answer HTTP. Nothing
here decides anything; what begins and ends when is said in the two compositions.
"""
