"""Bugs that others have shipped, planted into the round: each is found with p < 1e-3 at epsilon 4.

Every mechanism below is a substitute for the product's; the product has no hooks for them.
"""

import math

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

from fedmeta_crypto import Keystream, ServerSession
from fedmeta_privacy.audit import AuditContext, Decisions, Kind, multi_run_bound
from fedmeta_privacy.claims import Unit, View
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.errors import EncodingOverflow
from fedmeta_privacy.noise import DiscreteGaussian
from secure_fedmeta.attacks import rounds as rounds_module
from secure_fedmeta.attacks.audits import audit_canaries
from secure_fedmeta.attacks.canaries import OVERSHOOT, CanaryDesign, CanaryMechanism
from secure_fedmeta.attacks.trials import ClientCanary, ClientRounds, audit_rounds

P = 1e-3
DESIGN = CanaryDesign(epsilon=4.0, canaries=1430, dimension=1 << 14)
ONE_ROUND = DESIGN.survivors * DESIGN.canaries
TRIALS = 20_000


def seeded(number=0):
    return Keystream(bytes([number]) * 16).bytes


def audited(mechanism=CanaryMechanism, design=DESIGN, trials=TRIALS):
    return audit_canaries(design, trials=trials, p=P, mechanism=lambda d: mechanism(d, entropy=seeded()))


class NoiseTooSmall(CanaryMechanism):
    """A standard deviation where a variance was meant."""

    def scale(self):
        return super().scale() / math.sqrt(2)


class NoisePlannedForAll(CanaryMechanism):
    """Each client's share is computed from all invited clients, though three never send theirs."""

    def scale(self):
        return super().scale() * math.sqrt(self.design.survivors / self.design.clients)


class Loss(torch.nn.Module):
    """A loss whose gradient is the input row: of shape (B,), or (B, 1) as MSELoss gives on outputs of that shape."""

    reduction = "sum"

    def __init__(self, trailing):
        super().__init__()
        self.trailing = trailing

    def forward(self, output, target):
        each = output if self.trailing else output[:, 0]
        return each if self.reduction == "none" else each.sum()


class GhostClipping(CanaryMechanism):
    """Clipping left to Opacus' ghost mode: coefficients of shape (B,) times losses of shape (B, 1) make (B, B).

    So every unclipped gradient is weighted by the sum of all coefficients.
    """

    BLOCK = 65
    TRAILING = True

    def clipped_sum(self, client, coins):
        total, places = np.zeros(self.design.dimension), self._places(client)
        for start in range(0, self.design.canaries, self.BLOCK):
            inside = coins[start : start + self.BLOCK]
            rows = np.diag(inside * OVERSHOOT * self.design.clip_norm)
            total[places[start : start + self.BLOCK]] = self.ghost(rows)
        return total

    def ghost(self, rows):
        bound, linear = self.design.clip_norm, torch.nn.Linear(rows.shape[1], 1, bias=False, dtype=torch.float64)
        module = GradSampleModuleFastGradientClipping(linear, max_grad_norm=bound, loss_reduction="sum")
        optimizer = DPOptimizerFastGradientClipping(
            torch.optim.SGD(module.parameters(), lr=0.0),
            max_grad_norm=bound,
            noise_multiplier=0.0,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        criterion = DPLossFastGradientClipping(module, optimizer, Loss(self.TRAILING), "sum")
        criterion(module(torch.from_numpy(rows)), torch.zeros(len(rows), 1)).backward()
        optimizer.accumulate()
        return linear.weight.summed_grad.numpy()[0]


class GhostClippingOfTheRightShape(GhostClipping):
    """The same engine where it is right."""

    TRAILING = False


class OneDrawForAll(CanaryMechanism):
    """A scalar draw, broadcast."""

    def add_noise(self, clipped, words):
        return self.design.encoding.encode(clipped) + self.noise.sample(1, words)


class NotClipped(CanaryMechanism):
    def clipped_sum(self, client, coins):
        total = np.zeros(self.design.dimension)
        total[self._places(client)] = coins * OVERSHOOT * self.design.clip_norm
        return total


def test_the_product_itself_is_not_accused():
    found = audited()
    assert found.found == ()
    assert found.mechanism_test.epsilon > 0.8 * found.claim  # and the audit is not blind


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_an_engine_that_clips_is_not_accused():
    assert audited(GhostClippingOfTheRightShape).found == ()


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("bug", [NoiseTooSmall, NoisePlannedForAll, GhostClipping, NotClipped])
def test_too_little_noise_or_too_much_signal(bug):
    found = audited(bug)
    assert found.mechanism_test.exceeds(found.claim)
    assert found.mechanism_test.p == P


def test_one_draw_for_all_coordinates():
    """The mechanism test's independence is gone, so its own figure means nothing; the other two tell.

    The one-run bound charges 2 m delta, so with 10 010 canaries p < 1e-3 takes a delta well below 1e-5.
    """
    design = CanaryDesign(epsilon=4.0, delta=1e-7, canaries=1430, dimension=1 << 14)
    found = audited(OneDrawForAll, design=design, trials=ONE_ROUND)
    assert not found.within.independent
    assert found.within.p < P
    assert found.within.largest == pytest.approx(1.0, abs=0.01)
    assert found.one_run.exceeds(found.claim)
    assert found.one_run.kind is Kind.ONE_RUN


class OverflowBeforeNoise(ClippedNoisySum):
    """Refuses to send a vector that leaves its ring, and looks before the noise is there."""

    def __init__(self, *, limit, **settings):
        super().__init__(**settings)
        self.limit = limit
        self.bare = ClippedNoisySum(**(settings | {"noise": None}))

    def __call__(self, contributions, words):
        if np.abs(self.bare(contributions, None)).max() > self.limit:
            raise EncodingOverflow("the vector does not fit", "use a larger step")
        return super().__call__(contributions, words)


def abort_bound(release, design, trials=600):
    """Two worlds, and "the client said nothing" as the auditor's decision."""
    canary = np.zeros((1, design.dimension))
    canary[0, 0] = 4.0
    aborts = [0, 0]
    for world, vector in enumerate((np.zeros_like(canary), canary)):
        for trial in range(trials):
            try:
                release(vector, Keystream(trial.to_bytes(16, "big")).words)
            except EncodingOverflow:
                aborts[world] += 1
    where = AuditContext(Unit.CLIENT, View.SERVER, colluders=0, survivors=design.survivors)
    decisions = Decisions(aborts[0], trials, trials - aborts[1], trials)
    return multi_run_bound(decisions, delta=design.delta, p=P, context=where)


def test_an_abort_that_depends_on_an_overflow():
    design = ClientCanary(epsilon=4.0)
    settings = {"clip_norm": 1.0, "encoding": design.encoding, "noise": DiscreteGaussian(design.scale)}
    bug = OverflowBeforeNoise(limit=round(0.5 / design.encoding.step), **settings)
    assert abort_bound(bug, design).exceeds(design.claim)
    assert abort_bound(ClippedNoisySum(**settings), design).epsilon == 0.0


def exact(steps, opened, encoding):
    """The exactness law: the opened sum is the survivors' sum in the ring."""
    expected = sum(steps[client] for client in opened.survivors)
    return np.array_equal(encoding.from_ring(opened.total), expected)


class SaturatingServer(ServerSession):
    """Adds masked vectors as if they were numbers: a word that would wrap stays at its largest."""

    def _take_input(self, masked, digest, sender):
        before = self._sum.astype(np.uint64)
        super()._take_input(masked, digest, sender)
        wide = before + masked.vector
        self._sum = np.minimum(wide, np.uint64(2**32 - 1)).astype(self._sum.dtype)


def test_a_saturating_add_before_unmasking(monkeypatch):
    design = CanaryDesign(epsilon=4.0, canaries=20, dimension=256)
    mechanism = CanaryMechanism(design)
    coins = np.ones(design.canaries, np.bool_)
    steps = {client: mechanism.release(client, coins) for client in range(design.clients)}
    assert exact(steps, mechanism.sum(steps), design.encoding)
    monkeypatch.setattr(rounds_module, "ServerSession", SaturatingServer)
    assert not exact(steps, mechanism.sum(steps), design.encoding)


class SameNoiseEachRound(ClientRounds):
    """A keystream whose key never changes, as from a seed in a configuration file."""

    def words(self, client):
        return Keystream(bytes([client + 1]) * 16).words


@pytest.mark.long
def test_a_seed_that_is_used_in_every_round():
    """Only complete runs see it: within one round such noise is perfect."""
    design = ClientCanary(epsilon=4.0)
    bug = audit_rounds(SameNoiseEachRound(design), count=60, p=P)
    assert bug.refuted
    assert bug.beside_reference.exceeds(bug.claim)
    honest = audit_rounds(ClientRounds(design), count=60, p=P)
    assert not honest.refuted


class SameNoiseInOneProcess(CanaryMechanism):
    """The same bug under the mechanism test."""

    def release(self, client, coins):
        return self.add_noise(self.clipped_sum(client, coins), Keystream(bytes([client + 1]) * 16).words)


def test_the_mechanism_test_alone_misses_a_reused_seed():
    """Why kind (c) exists: the figures of (a) and (b) stay below the claim; two rounds side by side give it away."""
    single = audited(SameNoiseInOneProcess, trials=ONE_ROUND)
    assert single.found == ()
    several = audited(SameNoiseInOneProcess)
    assert not any(bound.exceeds(several.claim) for bound in several.bounds)
    assert several.between is not None
    assert not several.between.independent
