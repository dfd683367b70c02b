# SPDX-License-Identifier: Apache-2.0
"""Find privacy leaks in scripts and plans before they run: static, nothing is imported or executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .data_rules import networked, preprocessing, unsafe_loading
from .engine_rules import fresh_engines
from .findings import RULES, Finding, Level, Rule
from .foreign import what_cannot_be_shown
from .opacus_rules import opacus_calls
from .plan_rules import check_plan, is_plan
from .project import Module, Project
from .release_rules import claims_dp, unnoised_releases
from .rounds import RoundMap
from .run_rules import several_runs
from .sources import OversizedSource, find_sources, parse_python

__all__ = ["RULES", "Checked", "Finding", "Level", "Rule", "check_paths", "what_cannot_be_shown"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and what could not be read; `files` are those that were."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    problems: tuple[UserError, ...]

    @property
    def clean(self) -> bool:
        """No leak, and everything was read; notes do not count."""
        return not self.problems and not any(f.rule.level is Level.LEAK for f in self.findings)


def check_paths(paths: Sequence[Path]) -> Checked:
    """Check files and folders together: an import is followed where its script is among them.

    Guarantee: none that code is private; a clean result says that none of the listed mistakes was seen.
    """
    problems: list[UserError] = []
    files: list[str] = []
    modules: list[Module] = []
    findings: set[Finding] = set()
    given = {path.absolute() for path in paths}
    for path in find_sources(paths, problems):
        try:
            if path.suffix != ".toml":
                modules.append(Module(path, parse_python(path)))
            elif path.absolute() in given or is_plan(path):
                findings.update(check_plan(path))
            else:
                continue  # somebody's pyproject.toml
        except UserError as error:
            problems.append(error)
        except RecursionError:
            problems.append(_too_deep(path))
        else:
            files.append(str(path))
    findings.update(several_runs(paths))
    try:
        findings |= _check_modules(modules)
    except RecursionError:  # one expression somewhere is nested beyond reason; say so rather than "clean"
        problems.append(_too_deep(paths[0]))
    return Checked(tuple(files), tuple(sorted(findings)), tuple(problems))


def _check_modules(modules: Sequence[Module]) -> set[Finding]:
    project = Project(modules)
    rounds = RoundMap(project)
    private, talking = project.programs_with(claims_dp), project.programs_with(networked)
    findings = {*fresh_engines(project, rounds), *unnoised_releases(project, rounds, private)}
    for module in modules:
        findings.update(opacus_calls(project, module))
        findings.update(preprocessing(module) if module.path in private else ())
        findings.update(unsafe_loading(module, rounds, talks=module.path in talking))
    return findings


def _too_deep(path: Path) -> OversizedSource:
    return OversizedSource("nested too deeply to follow", str(path), "simplify the longest expression")
