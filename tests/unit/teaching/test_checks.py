"""Every check of every notebook: the right answer, three usual wrong ones with a hint each, and nonsense."""

import hashlib
import importlib

import numpy as np
import pytest

from secure_fedmeta.teaching.verdicts import Verdict

R = 2**32


def mask_of(sign=1, modulus=R, add_all=False):
    def mask(vector, me, peers, pads):
        total = vector.astype(object)
        for peer in peers:
            up = 1 if add_all or peer > me else -1
            total = total + sign * up * pads[peer].astype(object)
        return (total % modulus if modulus else total).astype(np.int64)

    return mask


def signed(uploads):
    total = sum(u.astype(np.int64) for u in uploads) % R
    return np.where(total >= R // 2, total - R, total)


def lagrange(points, values, p):
    total = 0
    for i, xi in enumerate(points):
        weight = 1
        for j, xj in enumerate(points):
            if i != j:
                weight = weight * -xj * pow(xi - xj, -1, p)
        total += values[i] * weight
    return total % p


def step(theta, rows, labels, lr, sign=-1, mean=True):
    gradient = rows.T @ (1 / (1 + np.exp(-rows @ theta)) - labels)
    return theta + sign * lr * (gradient / len(labels) if mean else gradient)


def clip(rows, bound):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows * np.minimum(1, bound / np.maximum(norms, 1e-300))


def lost(labels, scores, sign=1, share=0.6):
    return share * labels[np.argsort(sign * scores, kind="stable")[: round(0.8 * len(scores))]].mean()


def reports(new_engine, rounds):
    engine, told = new_engine(), []
    for _ in range(rounds):
        engine.train()
        told.append(engine.epsilon())
    return told


def broken(lines):
    return [i for i in range(1, len(lines)) if lines[i][1] != hashlib.sha256(lines[i - 1][0]).hexdigest()]


def above(scores, share):
    return np.sort(scores)[::-1][int(share * len(scores))]


e = np.exp
GOOD_TEXT = "Protected is one patient's record: epsilon 3, delta 0.001, against the server. Not covered: membership."
# module: [(right answer, [wrong ones])] by the number of the check.
CASES = {
    "first_steps": [("larger", ["smaller", "the same", "zero"]), ("release", ["server", "local", "member"]), (9, [20, 1, 3])],
    "leaking": [
        (lambda w, b: w / b, [lambda w, b: w * b, lambda w, b: b / w, lambda w, b: w - b]),
        ("many", ["one", "two", "0"]),
        ("masking", ["averaging", "a larger model", "encrypting with TLS"]),
    ],
    "masks": [
        (mask_of(), [mask_of(add_all=True), mask_of(modulus=0), mask_of(sign=-1)]),
        (signed, [lambda u: sum(u) % R, sum, lambda u: signed(u) / len(u)]),
        ("rounding", ["speed", "size", "negative numbers"]),
    ],
    "fixed_point": [
        (lambda x, s: np.rint(x / s), [lambda x, s: np.floor(x / s), lambda x, s: (x / s).astype(int), lambda x, s: np.rint(x * s)]),
        (15, [14, 11, 32]),
        ("both", ["values", "noise", "neither"]),
    ],
    "key_agreement": [
        (lambda s, t, p: pow(t, s, p), [lambda s, t, p: pow(7, s, p), lambda s, t, p: s * t % p, lambda s, t, p: t]),
        (("pad", "seal"), [("", ""), ("a", "a"), ("a", "")]),
        ("the server", ["nobody", "another client", "an eavesdropper"]),
    ],
    "leaving": [
        (
            lagrange,
            [
                lambda x, v, p: sum(v) % p,
                lambda x, v, p: v[0],
                lambda x, v, p: 0,
            ],
        ),
        (4, [3, 5, 2]),
        ("the vector", ["nothing", "the key", "the sum"]),
    ],
    "lying": [
        (
            lambda c, v: (c, [x for x in c if x != v]),
            [lambda c, v: (c, c), lambda c, v: ([x for x in c if x != v],) * 2, lambda c, v: ([v], [])],
        ),
        (
            lambda lists, q: max(lists.count(x) for x in lists) >= q,
            [lambda lists, q: len(lists) >= q, lambda lists, q: len(set(lists)) == 1, lambda lists, q: max(lists.count(x) for x in lists) > q],
        ),
        ("end the round", ["open one upload", "nothing", "swap keys"]),
    ],
    "encrypting": [(22, [16, 21, 32]), ("the decryptor", ["nobody", "the server", "a client"]), ("error", ["size", "speed", "the key"])],
    "budgets": [
        (
            clip,
            [
                lambda r, b: np.clip(r, -b, b),
                lambda r, b: r * b / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-300),
                lambda r, b: r * min(1.0, b / np.linalg.norm(r)),
            ],
        ),
        (3.7, [0.62, 31, 4.4]),
        (4, [5, 8, 1]),
        (
            reports,
            [lambda m, n: [reports(m, 1)[0]] * n, lambda m, n: [0.62 * i for i in range(1, n + 1)], lambda m, n: [0.0, *reports(m, n)[:-1]]],
        ),
    ],
    "joining": [
        (
            lambda t, n, a, d: t / (n - a - d) ** 0.5,
            [lambda t, n, a, d: t / n**0.5, lambda t, n, a, d: t / (n - a - d), lambda t, n, a, d: t / (n - d) ** 0.5],
        ),
        ("local", ["server", "release", "none at all"]),
        (3, [9, 1, 0.333]),
    ],
    "adapting": [
        (
            step,
            [
                lambda *a: step(*a, sign=1),
                lambda *a: step(*a, mean=False),
                lambda t, x, y, lr: t - lr * x.T @ (x @ t - y) / len(y),
            ],
        ),
        ("query", ["support", "both", "test patients"]),
        (0.3, [0.2975, 0.5975, 0.4225]),
    ],
    "auditing": [
        (3, [4, 5, 0]),
        ("forged", ["old", "secret", "lost"]),
        ("heads", ["hash", "nothing", "epsilon"]),
        (
            lambda lines: min(broken(lines), default=-1),
            [lambda lines: max(broken(lines), default=-1), lambda lines: bool(broken(lines)), lambda lines: min(broken(lines), default=0) - 1],
        ),
    ],
    "attacking": [
        (
            lambda x, d, a: min(1.0, e(x) * a + d, 1 - e(-x) * (1 - d - a)),
            [lambda x, d, a: min(1.0, e(x) * a + d), lambda x, d, a: e(x) * a + d, lambda x, d, a: min(1.0, x * a + d)],
        ),
        ("not refuted", ["claim wrong", "claim right", "it is private"]),
        ("long and alone", ["typical", "random", "short"]),
        (
            lambda m, o, a: np.mean(m > above(o, a)),
            [lambda m, o, a: np.mean(m > above(m, a)), lambda m, o, a: np.mean(o > above(o, a)), lambda m, o, a: np.mean(m > np.sort(o)[int(a * len(o))])],
        ),
    ],
    "cases": [
        ("nobody", ["the server", "the other hospitals", "the auditor"]),
        (6, [3, 9, 4.243]),
        (GOOD_TEXT, ["We protect everybody.", "one patient's record", "one patient, epsilon 3"]),
    ],
    "lending": [
        (lost, [lambda y, s: 0.6 * y.mean(), lambda y, s: lost(y, s, sign=-1), lambda y, s: lost(y, s, share=1)]),
        ("calibrate", ["retrain", "nothing", "noise"]),
        (10_000, [100_000, 1_000_000, 1_000]),
    ],
}  # fmt: skip
CHECKS = [(module, number) for module, rows in CASES.items() for number in range(1, len(rows) + 1)]


def check_of(module, number):
    return getattr(importlib.import_module(f"secure_fedmeta.teaching.{module}"), f"check_{number}")


@pytest.mark.parametrize(("module", "number"), CHECKS)
def test_the_right_answer_is_right_and_three_wrong_ones_get_hints_of_their_own(module, number):
    right, wrong = CASES[module][number - 1]
    check = check_of(module, number)
    verdict = check(right)
    assert verdict.right and repr(verdict).startswith("Right: ")
    verdicts = [check(answer) for answer in wrong]
    assert not any(found.right for found in verdicts)
    assert len({found.text for found in verdicts}) == 3, [found.text for found in verdicts]


def crash(*_):
    raise RuntimeError("a student's mistake")


NONSENSE = [None, ..., "?", object(), [], crash, lambda: None, lambda *_: None, lambda *_: "text", np.array([np.nan])]


@pytest.mark.parametrize(("module", "number"), CHECKS)
def test_nonsense_gets_an_answer_and_no_traceback(module, number):
    for answer in NONSENSE:
        verdict = check_of(module, number)(answer)
        assert isinstance(verdict, Verdict) and not verdict.right and verdict.text


def test_every_check_is_covered():
    for module, rows in CASES.items():
        names = dir(importlib.import_module(f"secure_fedmeta.teaching.{module}"))
        assert sum(name.startswith("check_") for name in names) == len(rows) >= 3
