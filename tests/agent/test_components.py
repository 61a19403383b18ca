"""Every component of a hub has the same interface."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import vpn.agent
from vpn.agent.lifecycle.components import COMPONENTS, Component
from vpn.wire import report

FACE = [name for name in vars(Component) if not name.startswith("_")]


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_the_interface(name: str) -> None:
    component = COMPONENTS[name]
    for function in FACE:
        mine, expected = (inspect.signature(getattr(each, function)) for each in (component, Component))
        _self, *wanted = expected.parameters.values()
        there = [(each.name, each.annotation) for each in mine.parameters.values()]
        assert there == [(each.name, each.annotation) for each in wanted], f"{name}.{function}"
        assert mine.return_annotation == expected.return_annotation, f"{name}.{function}"


def test_the_package_exports_its_interface() -> None:
    for component in COMPONENTS.values():
        assert {*FACE, "drift"} <= set(component.__all__)  # type: ignore[attr-defined]


def test_no_component_is_left_out() -> None:
    packages = {path.parent.name for path in Path(vpn.agent.__path__[0]).glob("*/component.py")}
    assert packages == COMPONENTS.keys() <= set(report.COMPONENTS)
