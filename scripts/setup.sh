#!/bin/sh
# Finds a Python that Upshot runs on and lets it make .venv: scripts/setup.sh runtime|test
# PYTHON=/path/to/python chooses another. Next: setup.py, which does the rest.
set -eu
cd "$(dirname "$0")/.."

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c "$fits" >/dev/null 2>&1; then
        exec "$candidate" scripts/setup.py "$@"
    fi
done

echo "Upshot needs Python 3.11, 3.12 or 3.13. Looked for: ${PYTHON:-python3, python3.13, python3.12, python3.11}." >&2
echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make ${MAKE_GOAL:-setup} PYTHON=/path/to/python3.12" >&2
exit 1
