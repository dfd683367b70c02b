# SPDX-License-Identifier: Apache-2.0
"""What an audit found, and the one verdict that follows from it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import IntEnum

from fedmeta_privacy.ledger import Json, decimal


class Verdict(IntEnum):
    """The exit status of an audit; the most serious finding decides, in the order tampered, too small, incomplete."""

    OK = 0
    TAMPERED = 3
    CLAIM_TOO_SMALL = 4
    INCOMPLETE = 5

    @property
    def words(self) -> str:
        """As people read it."""
        return {0: "ok", 3: "tampered", 4: "claim too small", 5: "incomplete"}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be checked.

    Attributes:
        verdict: what it would make of the whole audit by itself.
        check: which check found it.
        line: of the ledger, from 1; 0 if it is not about one.
        what: in words.
    """

    verdict: Verdict
    check: str
    line: int
    what: str


@dataclass(slots=True)
class Findings:
    """Collects what the checks find, and what they looked at.

    Example:
        >>> found = Findings()
        >>> found.looked("chain", "3 lines")
        >>> found.verdict.words
        'ok'
        >>> found.add(Verdict.INCOMPLETE, "heads", 0, "no site's heads were given")
        >>> found.add(Verdict.TAMPERED, "chain", 2, "it does not follow line 1")
        >>> found.verdict.words, found.result("heads")
        ('tampered', 'incomplete')
    """

    found: list[Finding] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)

    def add(self, verdict: Verdict, check: str, line: int, what: str) -> None:
        """Something is wrong, or unchecked."""
        self.checks.setdefault(check, "")
        self.found.append(Finding(verdict, check, line, what))

    def looked(self, check: str, at: str) -> None:
        """A check was made, and of what."""
        self.checks[check] = at

    def result(self, check: str) -> str:
        """Of one check, in words."""
        return _worst([one.verdict for one in self.found if one.check == check]).words

    @property
    def verdict(self) -> Verdict:
        """Of all of them."""
        return _worst([one.verdict for one in self.found])


def plain_decimal(text: Json) -> float | None:
    """A stated number in the ledger's own spelling; None for any other, negative or infinite.

    Underscores, or digits of other scripts, are other numbers to other readers.

    Example:
        >>> plain_decimal("1.5"), plain_decimal("1_5.0"), plain_decimal("1e999"), plain_decimal(None)
        (1.5, None, None, None)
    """
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 and decimal(value) == text else None


def is_digest(text: Json) -> bool:
    """Whether this is a SHA-256 in lower-case hex.

    Example:
        >>> is_digest("ab" * 32), is_digest("ab"), is_digest(None)
        (True, False, False)
    """
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None


def _worst(verdicts: list[Verdict]) -> Verdict:
    return min((v for v in verdicts if v), default=Verdict.OK)


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit.

    Attributes:
        findings: with the verdict.
        lines: of the ledger.
        head: of the last line.
        epsilon: recomputed, per view, rounded up; empty where nothing is guaranteed or could be recomputed.
        stated: what the ledger's last line says, per view.
    """

    findings: Findings
    lines: int
    head: str
    epsilon: dict[str, str]
    stated: dict[str, str]

    def to_json(self) -> dict[str, Json]:
        """The content of `verification.json`: the same for the same files."""
        found = self.findings
        return {
            "verdict": found.verdict.words,
            "status": int(found.verdict),
            "checks": [
                {"check": name, "result": found.result(name), "looked_at": at} for name, at in found.checks.items()
            ],
            "findings": [
                {"check": one.check, "line": one.line, "verdict": one.verdict.words, "what": one.what}
                for one in found.found
            ],
            "ledger": {"lines": self.lines, "head": self.head},
            "epsilon": {"recomputed": dict(self.epsilon), "stated": dict(self.stated)},
        }
