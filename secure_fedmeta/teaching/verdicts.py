# SPDX-License-Identifier: Apache-2.0
"""A check of an exercise says "Right" or what is wrong; it never raises, whatever a student hands in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# (when this holds of the answer, say that); the first that holds is said.
Hint = tuple[Callable[[Any], bool], str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check came to; shown as its text.

    Example:
        >>> Verdict(True, "Masks cancel.")
        Right: Masks cancel.
        >>> Verdict(False, "Look at the sign.")
        Not yet: Look at the sign.
    """

    right: bool
    text: str

    def __repr__(self) -> str:
        return f"{'Right' if self.right else 'Not yet'}: {self.text}"


def judge(answer: Any, *, right: Callable[[Any], bool], says: str, hints: Sequence[Hint], otherwise: str) -> Verdict:
    """Compare an answer with what is right, then with usual mistakes, in order.

    Args:
        answer: a value, or a function that the tests call.
        right: whether it is; anything that it raises counts as no.
        says: after a right answer, what was learned.
        hints: usual mistakes and what to say of each.
        otherwise: for all other wrong answers.

    Example:
        >>> hints = [(lambda x: x == 4, "You added; multiply.")]
        >>> judge(4, right=lambda x: x == 3, says="Yes.", hints=hints, otherwise="Try again.")
        Not yet: You added; multiply.
        >>> judge(None, right=lambda x: x == 3, says="Yes.", hints=hints, otherwise="Try again.")
        Not yet: There is no answer yet: replace the ... by your own.
    """
    if answer is None or answer is Ellipsis or (isinstance(answer, str) and answer in ("ellipsis", "none")):
        return Verdict(False, "There is no answer yet: replace the ... by your own.")
    if _holds(right, answer):
        return Verdict(True, says)
    for holds, text in hints:
        if _holds(holds, answer):
            return Verdict(False, text)
    return Verdict(False, otherwise)


def tried(function: Any, *given: Any) -> Any:
    """What a student's function gives for copies of these arguments; an `Oops` if it is none, or raises.

    Example:
        >>> tried(lambda x: x + 1, 2), tried(3, 2), tried(lambda x: 1 / x, 0)
        (3, Oops('this is no function'), Oops('ZeroDivisionError: division by zero'))
    """
    if not callable(function):
        return Oops("this is no function")
    try:
        copies = [value.copy() if isinstance(value, np.ndarray | list | dict) else value for value in given]
        return function(*copies)
    except Exception as error:  # noqa: BLE001 - whatever a student's code does is to be told, not raised
        return Oops(f"{type(error).__name__}: {error}"[:200])


@dataclass(frozen=True, slots=True)
class Oops:
    """That a function could not be tried, and why."""

    why: str

    def __repr__(self) -> str:
        return f"Oops({self.why!r})"


def judge_function(
    function: Any,
    given: Sequence[tuple[Any, ...]],
    *,
    right: Callable[..., Any],
    says: str,
    hints: Sequence[tuple[Callable[..., Any], str]] = (),
    otherwise: str,
) -> Verdict:
    """Try a student's function on several arguments, and compare with the right one and with usual wrong ones.

    Args:
        function: the student's.
        given: tuples of arguments.
        right: gives the right result for each.
        says: after a right answer.
        hints: functions that make a usual mistake, and what to say to whoever made it.
        otherwise: for all other wrong ones.

    Example:
        >>> cases = [(2, 3), (4, 5)]
        >>> judge_function(lambda a, b: a * b, cases, right=lambda a, b: a + b, says="Yes.",
        ...                hints=[(lambda a, b: a * b, "That is the product.")], otherwise="No.")
        Not yet: That is the product.
    """
    if function is None or function is Ellipsis:
        return Verdict(False, "There is no answer yet: replace the ... by your own.")
    results = [tried(function, *arguments) for arguments in given]
    for result in results:
        if isinstance(result, Oops):
            return Verdict(False, f"Your function cannot be tried: {result.why}.")
        if result is None or result is Ellipsis:
            return Verdict(False, "Your function returns nothing: end it with return.")
    if all(alike(result, right(*arguments)) for result, arguments in zip(results, given, strict=True)):
        return Verdict(True, says)
    for mistake, text in hints:
        made = [tried(mistake, *arguments) for arguments in given]
        if all(alike(result, wrong) for result, wrong in zip(results, made, strict=True)):
            return Verdict(False, text)
    return Verdict(False, otherwise)


def alike(first: Any, second: Any) -> bool:
    """Whether two results are the same, floats to nine digits.

    Example:
        >>> alike(np.array([1.0, 2.0]), [1, 2]), alike("a", "b"), alike([1], [1, 2])
        (True, False, False)
    """
    try:
        a, b = np.asarray(first), np.asarray(second)
        if a.shape != b.shape:
            return False
        if a.dtype.kind in "iufb" and b.dtype.kind in "iufb":
            return bool(np.allclose(a.astype(float), b.astype(float), rtol=1e-9, atol=1e-12))
        return bool(np.all(a == b))
    except (TypeError, ValueError):
        return False


def _holds(test: Callable[[Any], bool], answer: Any) -> bool:
    try:
        return bool(test(answer))
    except Exception:  # noqa: BLE001 - an answer of another kind is simply not this one
        return False
