# SPDX-License-Identifier: Apache-2.0
"""SFM-510 to 518: how Opacus is called."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from .findings import Finding
from .project import Module, Project, dotted, keyword_value, method_name, own_nodes
from .training_rules import batch_norm, ghost_losses, skipped_batches

_SEEDS = {
    "torch.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.random.manual_seed",
    "pytorch_lightning.seed_everything",
    "lightning.seed_everything",
    "transformers.set_seed",
    "accelerate.utils.set_seed",
}
_SIZE = re.compile(
    r"^(?:n|num|number|size|len)_?(?:of_)?(?:train|training|samples|records|patients|examples|rows|people|persons|users|"
    r"clients|data|dataset)\w*$|^(?:n|train_size|dataset_size|sample_size)$",
    re.IGNORECASE,
)
LARGEST_DELTA = 0.01  # no training set of a hundred units or more may have it


def opacus_calls(project: Project, module: Module) -> Iterator[Finding]:
    """All rules about one script's calls."""
    calls = [node for node in module.nodes if isinstance(node, ast.Call)]
    private = [call for call in calls if method_name(call).startswith("make_private") and _is_opacus(module)]
    report = _reporter(module)
    yield from _keywords(module, calls, report)
    if not private:
        return
    yield from _seeded(module, private, report)
    yield from _secure_mode(module, calls, report)
    yield from _large_delta(module, calls, report)
    yield from batch_norm(project, module)
    yield from ghost_losses(project, module, private)
    yield from skipped_batches(module)


Report = Callable[[ast.AST, str, str], Finding]


def _reporter(module: Module) -> Report:
    return lambda node, code, what: Finding(str(module.path), getattr(node, "lineno", 1), code, what)


def _is_opacus(module: Module) -> bool:
    return module.imports("opacus") or module.imports("fl_opacus")


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _keywords(module: Module, calls: list[ast.Call], report: Report) -> Iterator[Finding]:
    """Arguments that are wrong wherever they stand."""
    if not _is_opacus(module):
        return
    for call in calls:
        if method_name(call).startswith("make_private") and _is(keyword_value(call, "poisson_sampling"), False):
            yield report(call, "SFM-511", "poisson_sampling=False")
        if _is(keyword_value(call, "rand_on_empty"), True):
            yield report(call, "SFM-516", "rand_on_empty=True")
        accountant = keyword_value(call, "accountant") or keyword_value(call, "mechanism")
        if isinstance(accountant, ast.Constant) and accountant.value == "gdp":
            yield report(call, "SFM-518", f'accountant "gdp" in {method_name(call)}')
        elif module.origin(call.func).startswith("opacus") and method_name(call) == "GaussianAccountant":
            yield report(call, "SFM-518", "GaussianAccountant()")


def _seeded(module: Module, private: list[ast.Call], report: Report) -> Iterator[Finding]:
    """A seed in the scope that makes the engine, in one that calls it, or at the top level; unless it is undone."""
    scopes = {_scope(module, call) for call in private}
    callers = {
        function.node
        for function in module.all_functions()
        for node in own_nodes(function.node)
        if isinstance(node, ast.Call)
        and any(getattr(scope, "name", None) == dotted(node.func).rsplit(".", 1)[-1] for scope in scopes)
    }
    own_generator = all(keyword_value(call, "noise_generator") is not None for call in private)
    for function in module.all_functions():
        if function.node not in scopes | callers and not isinstance(function.node, ast.Module):
            continue
        seeds, undone = [], 0
        for node in own_nodes(function.node):
            if isinstance(node, ast.Call):
                if module.origin(node.func) in _SEEDS and not own_generator:
                    seeds.append(node)
                elif module.origin(node.func) == "torch.seed":
                    undone = node.lineno
                elif method_name(node) == "manual_seed" and _feeds_noise(module, private, node):
                    yield report(node, "SFM-510", "noise_generator with a fixed seed")
        yield from (
            report(node, "SFM-510", f"{ast.unparse(node)[:60]} beside make_private")
            for node in seeds
            if undone <= node.lineno
        )


def _feeds_noise(module: Module, private: list[ast.Call], seeding: ast.Call) -> bool:
    """Whether the generator that is seeded is what draws the noise."""
    generators = {dotted(node) for call in private if (node := keyword_value(call, "noise_generator")) is not None}
    receiver = seeding.func.value if isinstance(seeding.func, ast.Attribute) else seeding.func
    if dotted(receiver) and dotted(receiver) in generators:
        return True
    for child, parent in module.ancestors(seeding):
        if isinstance(parent, ast.keyword) and parent.arg == "noise_generator":
            return True
        if isinstance(parent, ast.Assign) and child is parent.value:
            return any(dotted(target) in generators for target in parent.targets if dotted(target))
    return False


def _scope(module: Module, node: ast.AST) -> ast.AST:
    for _, parent in module.ancestors(node):
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            return parent
    return module.tree


def _secure_mode(module: Module, calls: list[ast.Call], report: Report) -> Iterator[Finding]:
    for call in calls:
        if module.origin(call.func).startswith("opacus") and method_name(call) == "PrivacyEngine":
            mode = keyword_value(call, "secure_mode")
            if mode is None or _is(mode, False):
                yield report(call, "SFM-512", "PrivacyEngine without secure_mode=True")


def _number(node: ast.AST | None) -> float | None:  # noqa: PLR0911 - one per form of literal
    """A literal number, or a quotient or power of them."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value) if abs(value) < 1e300 else None
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _number(left), _number(right)
            if a is None or b is None or abs(a) > 1e12 or (abs(b) > 64 and isinstance(op, ast.Pow)):
                return None
            try:
                match op:
                    case ast.Div():
                        return a / b
                    case ast.Pow():
                        return float(a**b)
                    case ast.Mult():
                        return a * b
            except (ArithmeticError, TypeError, ValueError):
                return None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return None if inner is None else -inner
    return None


def _large_delta(module: Module, calls: list[ast.Call], report: Report) -> Iterator[Finding]:
    """Literal deltas beside literal sizes of the training set, and deltas that no set of a hundred may have."""
    named = [
        (target, node.value)
        for node in module.nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    constants = {t.id: n for t, v in named if (n := _number(v)) is not None}
    sizes = [n for name, n in constants.items() if _SIZE.match(name) and n > 1]
    limit = min([LARGEST_DELTA, *(1 / n for n in sizes)])
    stated: list[tuple[ast.expr, float]] = [
        (v, n) for t, v in named if t.id.lower() in {"delta", "target_delta"} and (n := _number(v)) is not None
    ]
    given = [k.value for call in calls for k in call.keywords if k.arg in {"delta", "target_delta"}]
    stated += [(value, number) for value in given if (number := _number(value)) is not None]
    for value, number in stated:
        if limit <= number < 1:
            known = f"N = {1 / limit:g}" if limit < LARGEST_DELTA else "any N of 100 or more"
            yield report(value, "SFM-514", f"delta {number:g} with {known}")
