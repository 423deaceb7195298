"""The reference page of all settings, made from the classes that read them: what is documented is what is read.

Next: `scripts/reference.py` writes it to `docs/reference/settings.md`; a test holds that file to this.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_HEAD = """# Settings

All settings are environment variables. A value that cannot be used ends the start with one line that names the
variable. This page is made from the code (`python scripts/reference.py`); a test fails when it is not current.
"""


def find_settings(packages: Iterable[ModuleType]) -> list[type[BaseSettings]]:
    """Every settings class in a module called `settings` below these packages, by prefix."""
    found: dict[str, type[BaseSettings]] = {}
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".settings"):
                continue
            for each in vars(importlib.import_module(module.name)).values():
                own = isinstance(each, type) and issubclass(each, BaseSettings) and each.__module__ == module.name
                if own:
                    found[_prefix(each)] = each
    return [found[prefix] for prefix in sorted(found)]


def render_settings_page(classes: Sequence[type[BaseSettings]]) -> str:
    """The page as Markdown: a section a class, a row a variable."""
    return "\n".join([_HEAD, *(_section(each) for each in classes)])


def _section(settings: type[BaseSettings]) -> str:
    rows = [
        f"| `{_prefix(settings)}{name.upper()}` | {_shown_default(field)} | {_cell(field.description or '')} |"
        for name, field in settings.model_fields.items()
    ]
    said = (settings.__doc__ or "").strip().partition("\n")[0]
    head = f"## `{_prefix(settings)}…`\n\n{said}\n\n| variable | default | meaning |\n|---|---|---|"
    return "\n".join([head, *rows, ""])


def _prefix(settings: type[BaseSettings]) -> str:
    return str(settings.model_config.get("env_prefix", ""))


def _shown_default(field: FieldInfo) -> str:
    default = field.default
    if default is None or default == "" or isinstance(default, SecretStr):
        return "–"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, Path):
        return f"`{default.as_posix()}`"
    return f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
