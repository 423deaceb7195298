"""The wheel is pure Python; with UPSHOT_BUILD_NATIVE=1 it holds the compiled matching kernel, and is for one platform."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles as `make setup` does; who asked for the kernel is told where it cannot."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        if os.environ.get("UPSHOT_BUILD_NATIVE") != "1":
            return
        spec = importlib.util.spec_from_file_location("kernel", Path(self.root) / "scripts" / "kernel.py")
        assert spec is not None and spec.loader is not None
        kernel = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kernel)
        missing = None if kernel.is_current() else kernel.build()
        if missing is not None:
            raise RuntimeError(f"the matching kernel is not compiled: {missing}")
        library = kernel.library().relative_to(self.root).as_posix()
        build_data["force_include"][str(kernel.library())] = library
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
