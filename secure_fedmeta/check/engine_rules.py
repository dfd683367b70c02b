# SPDX-License-Identifier: Apache-2.0
"""SFM-501: a privacy engine or accountant that is made anew in each round, so that epsilon starts again."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .findings import Finding
from .project import Function, Project, dotted, own_nodes
from .rounds import RoundMap, once_only, round_loops

_ACCOUNTANTS = ("RDPAccountant", "PRVAccountant", "GaussianAccountant", "create_accountant")


def fresh_engines(project: Project, rounds: RoundMap) -> Iterator[Finding]:
    """Engines made in code that runs once a round, and in loops that go round by round.

    Clean: an engine kept on a client that lives on, in a global or a cache; made under a first-time guard; or one
    whose accountant is given back its history before the first step.
    """
    for module in project.modules:
        for function in module.all_functions():
            for call in _constructions(function):
                if _restored(function, call):
                    continue
                why = _each_round(function, call, rounds)
                if why:
                    made = module.origin(call.func).rsplit(".", 1)[-1]
                    what = f"{made}() in {function.shown}: {why}"
                    yield Finding(str(module.path), call.lineno, "SFM-501", what)


def _each_round(function: Function, call: ast.Call, rounds: RoundMap) -> str:
    for loop in round_loops(function):
        inside = any(node is call for node in own_nodes(loop))
        if inside and not once_only(function, call, loop, kept=True):
            return f"the loop in line {loop.lineno} goes round by round"
    reached = rounds.per_round.get(function)
    if reached is None or once_only(function, call, None, kept=reached.kept):
        return ""
    return reached.reason


def _constructions(function: Function) -> Iterator[ast.Call]:
    for node in own_nodes(function.node):
        if not isinstance(node, ast.Call):
            continue
        origin = function.module.origin(node.func)
        if not origin.startswith("opacus"):
            continue
        last = origin.rsplit(".", 1)[-1]
        if last == "PrivacyEngine" or (last in _ACCOUNTANTS and _steps_are_counted(function, node)):
            yield node


def _target(function: Function, call: ast.Call) -> str:
    """The name that a construction is bound to; "" if none."""
    for _, parent in function.module.ancestors(call):
        if isinstance(parent, ast.Assign):
            return dotted(parent.targets[0])
        if isinstance(parent, ast.AnnAssign | ast.NamedExpr):
            return dotted(parent.target)
        if isinstance(parent, ast.stmt):
            break
    return ""


def _steps_are_counted(function: Function, call: ast.Call) -> bool:
    """Whether an accountant is what an optimizer's steps are counted by, rather than a calculator of its own."""
    name = _target(function, call)
    return bool(name) and any(
        isinstance(node, ast.Attribute) and node.attr == "get_optimizer_hook_fn" and dotted(node.value) == name
        for node in own_nodes(function.node)
    )


def _restored(function: Function, call: ast.Call) -> bool:
    """Whether the history is put back, or the steps are counted by another accountant that is kept."""
    name = _target(function, call)
    own = {name, f"{name}.accountant"}
    for node in own_nodes(function.node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if name and dotted(target) in {f"{name}.accountant", f"{name}.accountant.history", f"{name}.history"}:
                    return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            receiver = dotted(node.func.value)
            if name and node.func.attr in {"load_state_dict", "load_checkpoint"} and receiver in own:
                return True
            if name and node.func.attr == "extend" and receiver in {f"{each}.history" for each in own}:
                return True
            if node.func.attr == "attach_step_hook" and not any(
                dotted(part) in own for argument in node.args for part in ast.walk(argument)
            ):
                return True
    return False
