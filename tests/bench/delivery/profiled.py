"""`upshot up` under cProfile: `python profiled.py PROFILE_FILE`. Writes the profile when SIGTERM has ended it."""

import cProfile
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from services.cli import main

if __name__ == "__main__":
    target = sys.argv[1]
    sys.argv = ["upshot", "up"]
    profile = cProfile.Profile()
    profile.enable()
    try:
        main()
    finally:
        profile.disable()
        profile.dump_stats(target)
