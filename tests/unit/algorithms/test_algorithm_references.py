"""Each contribution against a float64 reference of another origin: differences of the true meta-objective, or algebra.

The objectives and quadratics here are written with numpy alone and know nothing of the algorithms' own code.
"""

import numpy as np
import pytest
import torch
from algorithm_cases import algorithms_of, small_net
from small_runs import random_task

from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.core import tape_grad
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.algorithms.per_fedavg import PerFedAvg
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.engines.loop import LoopEngine

NET = small_net(hidden=4)
HEAD = slice(16, 21)
TASK = random_task(np.random.default_rng(2), 3, 5, 6)
RATE, STEPS = 0.3, 3


class NumpyNet:
    """The same 3-4-1 network in numpy: loss and gradient of one set of rows, written out by hand."""

    def __init__(self, rows, labels):
        self.rows, self.labels = rows, labels

    @staticmethod
    def parts(w):
        return w[:12].reshape(4, 3), w[12:16], w[16:20].reshape(1, 4), w[20:21]

    def loss(self, w):
        a, b, c, d = self.parts(w)
        z = (np.tanh(self.rows @ a.T + b) @ c.T + d)[:, 0]
        return np.mean(np.logaddexp(0.0, z) - self.labels * z)

    def gradient(self, w):
        a, b, c, d = self.parts(w)
        hidden = np.tanh(self.rows @ a.T + b)
        z = (hidden @ c.T + d)[:, 0]
        left = (0.5 * (1 + np.tanh(z / 2)) - self.labels)[:, None] / len(self.labels)
        back = (left @ c) * (1 - hidden**2)
        return np.concatenate([(back.T @ self.rows).ravel(), back.sum(0), (left.T @ hidden).ravel(), left.sum(0)])


SUPPORT = NumpyNet(TASK.support_rows, TASK.support_labels)
QUERY = NumpyNet(TASK.query_rows, TASK.query_labels)
EVERY = NumpyNet(
    np.concatenate([TASK.support_rows, TASK.query_rows]), np.concatenate([TASK.support_labels, TASK.query_labels])
)


def shortened(gradient, most):
    return gradient if most is None else gradient * min(1.0, most / np.linalg.norm(gradient))


def walk(theta, rates=RATE, mask=1.0, most=None, steps=STEPS, net=SUPPORT):
    for _ in range(steps):
        theta = theta - rates * shortened(mask * net.gradient(theta), most)
    return theta


def differences(objective, theta, d=1e-5):
    eye = np.eye(len(theta))
    return np.array([(objective(theta + d * e) - objective(theta - d * e)) / (2 * d) for e in eye])


def found(algorithm, theta):
    return LoopEngine(NET, algorithm, loss="logistic").contributions(theta, [TASK])[0]


MASK = np.zeros(NET.dimension)
MASK[HEAD] = 1.0
W = NET.dimension
META = {
    "maml": lambda t: QUERY.loss(walk(t)),
    "maml-clipped": lambda t: QUERY.loss(walk(t, most=0.05)),
    "anil": lambda t: QUERY.loss(walk(t, mask=MASK)),
    "anil-clipped": lambda t: QUERY.loss(walk(t, mask=MASK, most=0.05)),
    "meta-sgd": lambda t: QUERY.loss(walk(t[:W], rates=t[W:], steps=2)),
    "meta-sgd-clipped": lambda t: QUERY.loss(walk(t[:W], rates=t[W:], steps=2, most=0.05)),
    "meta-sgd-tensors": lambda t: QUERY.loss(walk(t[:W], rates=np.repeat(t[W:], NET.lengths), steps=2)),
}


@pytest.mark.parametrize("name", META)
def test_second_order_contributions_are_the_meta_objective_s_gradient(name):
    algorithm = algorithms_of(NET)[name]
    theta = algorithm.start(NET).numpy()
    theta = theta + 0.05 * np.random.default_rng(0).normal(size=len(theta))
    expected = differences(META[name], theta)
    np.testing.assert_allclose(found(algorithm, theta), expected, atol=2e-9)
    assert np.linalg.norm(expected) > 1e-2


@pytest.mark.parametrize("most", [None, 0.05])
def test_first_order_contributions(most):
    theta, steps = NET.start, GradientSteps(RATE, STEPS, max_norm=most)
    np.testing.assert_allclose(found(Maml(steps, first_order=True), theta), QUERY.gradient(walk(theta, most=most)))
    anil = Anil(steps, head_of(NET), NET.dimension, first_order=True)
    np.testing.assert_allclose(found(anil, theta), QUERY.gradient(walk(theta, mask=MASK, most=most)))
    back = theta - walk(theta, most=most, net=EVERY)
    np.testing.assert_allclose(found(Reptile(steps), theta), back / (RATE * STEPS), atol=1e-14)
    np.testing.assert_allclose(found(FedAvg(steps), theta), back, atol=1e-14)


def test_reptile_is_the_mean_gradient_along_its_path():
    path = [NET.start]
    for _ in range(STEPS):
        path.append(walk(path[-1], steps=1, net=EVERY))
    mean = np.mean([EVERY.gradient(at) for at in path[:-1]], axis=0)
    np.testing.assert_allclose(found(Reptile(GradientSteps(RATE, STEPS)), NET.start), mean, atol=1e-14)


def test_per_fedavg_against_the_exact_hessian():
    theta = NET.start
    v = QUERY.gradient(walk(theta, steps=1))
    hessian = np.stack([differences(lambda t, i=i: EVERY.gradient(t)[i], theta) for i in range(W)])
    np.testing.assert_allclose(found(PerFedAvg(RATE), theta), v - RATE * hessian @ v, atol=1e-9)
    assert np.linalg.norm(RATE * hessian @ v) > 1e-3  # the part that first order would leave out


def test_per_fedavg_with_a_clipped_step_is_the_gradient_through_the_clip():
    """With one part of rows throughout, the contribution is the gradient of L(w - lr clip(grad L(w)))."""

    class Same:
        def every(self, at):
            return torch.log1p(at.square().sum(-1)) + at[..., 0] ** 3 / 3

        support = query = every

    theta = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)
    for most in (0.3, 10.0):
        step = GradientSteps(0.2, 1, max_norm=most)
        exact = Maml(step).contribution(theta, Same(), tape_grad)
        near = PerFedAvg(0.2, max_norm=most).contribution(theta, Same(), tape_grad)
        np.testing.assert_allclose(near.numpy(), exact.numpy(), atol=1e-9)
    assert Same().every(theta).grad_fn is None


def test_per_fedavg_s_local_steps():
    at, one = NET.start, PerFedAvg(RATE)
    for _ in range(3):
        at = at - 0.2 * found(one, at)
    many = found(PerFedAvg(RATE, local_steps=3, local_lr=0.2), NET.start)
    np.testing.assert_allclose(many, (NET.start - at) / 0.6, atol=1e-12)


def test_the_difference_s_error_is_smallest_near_the_default():
    """Longer ones cut off more of the series, shorter ones leave more rounding."""
    hessian = np.stack([differences(lambda t, i=i: EVERY.gradient(t)[i], NET.start) for i in range(W)])
    v = QUERY.gradient(walk(NET.start, steps=1))
    exact = v - RATE * hessian @ v
    error = {d: np.abs(found(PerFedAvg(RATE, difference=d), NET.start) - exact).max() for d in (1e-1, 1e-12)}
    default = np.abs(found(PerFedAvg(RATE), NET.start) - exact).max()
    assert default < 1e-9 < error[1e-1] and default < error[1e-12]


class Quadratics:
    """L_S = (x - a)' A (x - a) / 2 and L_Q = (x - b)' B (x - b) / 2, for T tasks at once or for one."""

    def __init__(self, a, b, A, B):
        self.a, self.b, self.A, self.B = (torch.from_numpy(value) for value in (a, b, A, B))

    def _of(self, at, centre, matrix):
        away = at - centre
        return (away.unsqueeze(-2) @ matrix @ away.unsqueeze(-1))[..., 0, 0] / 2

    def support(self, at):
        return self._of(at, self.a, self.A)

    def query(self, at):
        return self._of(at, self.b, self.B)


def quadratics(tasks=3, p=5, indefinite=False):
    rng = np.random.default_rng(4)
    roots = rng.normal(size=(2, tasks, p, p))
    A, B = roots @ roots.transpose(0, 1, 3, 2) / p
    if indefinite:
        A = A - 3.0 * np.eye(p)
    return rng.normal(size=(tasks, p)), rng.normal(size=(tasks, p)), A, B, rng.normal(size=(tasks, p))


def test_imaml_is_the_exact_implicit_gradient_of_a_quadratic():
    """phi* = (A + lambda I)^{-1} (A a + lambda theta); d phi*/d theta = lambda (A + lambda I)^{-1}."""
    a, b, A, B, theta = quadratics()
    lam, eye = 1.5, np.eye(5)
    algorithm = Imaml(GradientSteps(0.15, 400), regularization=lam, cg_steps=6)
    got = algorithm.contribution(torch.from_numpy(theta), Quadratics(a, b, A, B), tape_grad).numpy()
    for t in range(3):
        whole = np.linalg.inv(A[t] + lam * eye)
        phi = whole @ (A[t] @ a[t] + lam * theta[t])
        np.testing.assert_allclose(got[t], lam * whole @ B[t] @ (phi - b[t]), atol=1e-10)
        alone = Quadratics(a[t], b[t], A[t], B[t])
        single = algorithm.contribution(torch.from_numpy(theta[t]), alone, tape_grad).numpy()
        np.testing.assert_allclose(single, got[t], atol=1e-13)


def test_imaml_solves_for_the_adapted_point_it_has_whatever_the_steps_were():
    a, b, A, B, theta = quadratics()
    algorithm = Imaml(GradientSteps(0.1, 2), regularization=1.5, cg_steps=6)
    losses = Quadratics(a, b, A, B)
    phi = algorithm.adapt(torch.from_numpy(theta), losses, tape_grad).numpy()
    got = algorithm.contribution(torch.from_numpy(theta), losses, tape_grad).numpy()
    for t in range(3):
        expected = np.linalg.solve(np.eye(5) + A[t] / 1.5, B[t] @ (phi[t] - b[t]))
        np.testing.assert_allclose(got[t], expected, atol=1e-10)


def test_imaml_stays_finite_where_there_is_nothing_to_solve_or_no_solution():
    a, b, A, B, theta = quadratics(indefinite=True)
    algorithm = Imaml(GradientSteps(0.1, 2), regularization=0.5, cg_steps=20)
    bent = algorithm.contribution(torch.from_numpy(theta), Quadratics(a, b, A, B), tape_grad)
    assert torch.isfinite(bent).all() and (bent.abs().amax(-1) > 1e-3).all()
    phi = algorithm.adapt(torch.from_numpy(theta), Quadratics(a, b, A, B), tape_grad).numpy()
    flat = algorithm.contribution(torch.from_numpy(theta), Quadratics(a, phi, A, B), tape_grad)
    assert torch.equal(flat, torch.zeros_like(flat))  # the query gradient is zero: residual zero from the start


def test_momentum_and_adam_are_torch_s_own():
    for rule, make in (
        ("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, eps=1e-8)),
    ):
        own = GradientSteps(0.1, 4, rule=rule)
        loss = lambda x: torch.log1p(x.square().sum(-1)) + x[..., 0]
        start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        point = start.clone().requires_grad_()
        optimizer = make([point])
        for _ in range(4):
            optimizer.zero_grad()
            loss(point).backward()
            optimizer.step()
        np.testing.assert_allclose(own(start, loss, tape_grad).numpy(), point.detach().numpy(), atol=1e-6)
