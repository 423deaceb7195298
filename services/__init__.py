"""The services of Upshot, one folder each, and what puts them together: `foundation.py`, `embedded.py`, `cli/`."""

import os
import sys

__version__ = "0.1.0"
"""The distribution's version, read from here by the build, so that a checkout that was never installed knows it too."""

# Every process of Upshot imports this first, and the kernel is looked for when matching is imported. None is the import
# system's way to say that a module is not there.
if os.environ.get("UPSHOT_NATIVE") == "0":
    sys.modules["shared.matching.native._kernel"] = None  # type: ignore[assignment]  # as above
