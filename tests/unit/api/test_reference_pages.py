"""The reference pages say what the code says now."""

import subprocess
import sys
from pathlib import Path

import pytest

import services
import shared
from shared.runtime.egress import EgressSettings
from shared.runtime.settings import UpshotSettings
from shared.runtime.settings_page import find_settings, render_settings_page

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_pages_are_current():
    ended = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_every_setting_has_a_name_of_its_own_and_says_what_it_means():
    names = set()
    for settings in find_settings([services, shared]):
        for name, field in settings.model_fields.items():
            variable = f"{settings.model_config.get('env_prefix')}{name.upper()}"
            assert variable.startswith("UPSHOT_")
            assert variable not in names
            assert field.description, f"{variable} says nothing of itself"
            names.add(variable)
    assert {"UPSHOT_HTTP_PORT", "UPSHOT_API_COMMAND_WAIT_SECONDS", "UPSHOT_POSTGRES_PORT"} <= names


@pytest.mark.parametrize(
    "variable", ["UPSHOT_HTTP_HOST", "UPSHOT_EGRESS_ALLOW", "UPSHOT_DATA_DIR", "UPSHOT_JWT_SECRET"]
)
def test_the_page_names_what_is_promised_elsewhere(variable):
    assert f"| `{variable}` |" in render_settings_page([UpshotSettings, EgressSettings])
