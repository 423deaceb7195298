"""`python -SE warm_client.py SOCKET ARGUMENTS…`: has whoever listens there do `upshot ARGUMENTS`, with this process's output,
folder and environment, and ends as that ended. It imports next to nothing: that is what it is for. Next: `shell.py`.
"""

import json
import os
import socket
import sys

COLD = b"cold"


def main(address: str, arguments: list[str]) -> int:
    """The exit status. Does not return where the command cannot be a warm process."""
    asked = json.dumps([arguments, dict(os.environ), os.getcwd()]).encode()  # noqa: PTH109  pathlib takes as long to import as all else
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(asked).to_bytes(4, "big")], [1, 2])
        connection.sendall(asked)
        answer = connection.recv(16)
    if answer == COLD:
        os.execv(sys.executable, [sys.executable, "-m", "services", *arguments])  # noqa: S606
    return int(answer or b"255")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
