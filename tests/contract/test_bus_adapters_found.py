"""Every adapter under `shared/bus/adapters` is under the bus contract."""

from shared.testing.bus import adapter_names, variants


def test_every_adapter_is_under_contract() -> None:
    assert {found.adapter for found in variants()} == set(adapter_names())
