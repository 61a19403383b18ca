"""Drawn networks: what the plan says of every pair and port, real packets do.

As many examples as fit MODEL_SECONDS (a minute), always the same ones; `make drill` sets MODEL_EXAMPLES instead,
and has all of them.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.lab.hub import Agent
from tests.lab.lab import Lab
from tests.network.model import Example, Model, Shape, connect, examples

SHAPES = {
    "mixed": Shape("wwo", "wow", ((), ("10.50.1.0/24", "fd50:2::/64"), ())),
    "mostly openvpn": Shape("oow", "oow", (("10.50.0.0/24", "fd50:1::/64"), ("10.50.0.0/16", "fd50::/16"), ())),
    "wireguard": Shape("www", "www"),
    "small": Shape("wo", "o", (("10.50.0.0/16", "fd50:1::/64"),)),
}
EVERY = int(os.environ.get("MODEL_EXAMPLES", "0"))
SECONDS = float(os.environ.get("MODEL_SECONDS", "60")) / len(SHAPES)
_EXAMPLES = -(-EVERY // len(SHAPES))
_PORTION = 20


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        built = connect(lab, agent, SHAPES[request.param])
        yield built
        built.probers.close()
        agent.close()


@pytest.mark.long
def test_packets_do_what_the_plan_says(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    tried = 0

    def agree(example: Example) -> None:
        nonlocal tried
        if not EVERY and tried and time.monotonic() > started + SECONDS:
            return
        model.change(example)
        found = model.disagreements()
        assert not found, "\n".join(found[:20])
        tried += 1

    # In portions, because drawing what is then left out takes a third of the time.
    for portion in itertools.count():
        _draw(agree, seed=portion)
        if tried >= _EXAMPLES if EVERY else time.monotonic() > started + SECONDS:
            break
    with capsys.disabled():
        print(f"\n{tried} examples of the shape {model.shape.clients}/{model.shape.sites}, {model.probes} probes")


def _draw(agree: Callable[[Example], None], seed: int) -> None:
    """Call `agree` with drawn examples, the same ones for each seed."""
    # Shrinking would take hours on a real network; the example is small as it is.
    limits = settings(
        max_examples=_PORTION,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(hypothesis.seed(seed)(given(examples())(agree)))()
