"""`upshot up` under cProfile: `python profiled.py PROFILE_FILE`. Writes the profile when SIGTERM has ended it.

By CPU time, not by the clock: what other processes take of the cores, and what waits, is not in it.
"""

import cProfile
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from services.cli import main

if __name__ == "__main__":
    target = sys.argv[1]
    sys.argv = ["upshot", "up"]
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    try:
        main()
    finally:
        profile.disable()
        profile.dump_stats(target)
