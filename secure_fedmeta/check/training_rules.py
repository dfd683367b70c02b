# SPDX-License-Identifier: Apache-2.0
"""SFM-513, 515 and 517: models and training loops that clipping or accounting does not fit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .findings import Finding
from .project import Module, Project, dotted, keyword_value, method_name, own_nodes

_BATCH_NORM = re.compile(r"^torch\.nn\.(?:BatchNorm[123]d|SyncBatchNorm|LazyBatchNorm[123]d)$")
_WITH_BATCH_NORM = re.compile(
    r"^torchvision\.models\.(?:resnet|resnext|wide_resnet|densenet|mobilenet|efficientnet)\w*$"
)
_PER_ELEMENT = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss"}
_FLAT = {"squeeze", "flatten", "view", "reshape", "ravel"}
_LOSS_NAME = re.compile(r"crit|loss", re.IGNORECASE)


def batch_norm(project: Project, module: Module) -> Iterator[Finding]:
    """In the script and in those that it takes its model from; a fixed model is clean."""
    used = [
        module,
        *(o for origin in module.aliases.values() for o in project.resolve(module, origin.rpartition(".")[0])),
    ]
    texts = [dotted(node) for other in used for node in other.nodes if isinstance(node, ast.Attribute)]
    if any(text.endswith(("ModuleValidator.fix", "ModuleValidator.fix_and_validate")) for text in texts):
        return
    if any("convert_batchnorm" in text for text in [*texts, *module.aliases.values()]):
        return
    for other in dict.fromkeys(used):
        for node in other.nodes:
            if isinstance(node, ast.Call):
                origin = other.origin(node.func)
                if _BATCH_NORM.match(origin):
                    yield Finding(str(other.path), node.lineno, "SFM-513", f"{dotted(node.func)}(...)")
                elif _WITH_BATCH_NORM.match(origin) and keyword_value(node, "norm_layer") is None:
                    what = f"{dotted(node.func)}(...) has batch normalisation inside"
                    yield Finding(str(other.path), node.lineno, "SFM-513", what)


def ghost_losses(project: Project, module: Module, private: list[ast.Call]) -> Iterator[Finding]:
    """A loss per element with ghost clipping, called on something that is not visibly flat."""
    modes = [keyword_value(call, "grad_sample_mode") for call in private]
    if not any(isinstance(m, ast.Constant) and str(m.value).startswith("ghost") for m in modes):
        return
    for function in module.all_functions():
        for node in own_nodes(function.node):
            if not isinstance(node, ast.Call):
                continue
            loss = module.origin(node.func).rsplit(".", 1)[-1]
            if loss in _PER_ELEMENT and not _called_flat(project, module):
                yield Finding(str(module.path), node.lineno, "SFM-515", f"{loss} with grad_sample_mode='ghost'")


def _called_flat(project: Project, module: Module) -> bool:
    """Whether every call of a loss in the program, by its name, is given something flat."""
    calls = [(other, n) for other in project.group(module) for n in other.nodes if isinstance(n, ast.Call)]
    flat = [
        _flat(other, call.args[0])
        for other, call in calls
        if len(call.args) == 2 and _LOSS_NAME.search(method_name(call))
    ]
    return bool(flat) and all(flat)


def _flat(module: Module, node: ast.expr) -> bool:
    """Whether an argument is visibly of shape (B,): squeezed here, or where its name was bound."""
    if any(isinstance(p, ast.Attribute) and p.attr in _FLAT for p in ast.walk(node)) or isinstance(node, ast.Subscript):
        return True
    name = dotted(node)
    return bool(name) and any(
        isinstance(n, ast.Assign)
        and any(dotted(target) == name for target in n.targets)
        and any(isinstance(p, ast.Attribute) and p.attr in _FLAT for p in ast.walk(n.value))
        for n in module.nodes
    )


def skipped_batches(module: Module) -> Iterator[Finding]:
    """`if len(x) == 0: continue` in a training loop, without a step before it."""
    for function in module.all_functions():
        for loop in own_nodes(function.node):
            if not isinstance(loop, ast.For) or not _steps(loop):
                continue
            for node in own_nodes(loop):
                if not (isinstance(node, ast.If) and isinstance(node.body[-1], ast.Continue)):
                    continue
                if _asks_empty(node.test) and not any(_steps(statement) for statement in node.body):
                    what = f"if {ast.unparse(node.test)[:50]}: continue"
                    yield Finding(str(module.path), node.lineno, "SFM-517", what)


def _steps(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Call) and method_name(n) == "step" for n in [node, *own_nodes(node)])


def _asks_empty(test: ast.expr) -> bool:
    """`len(x) == 0`, `x.shape[0] < 1`, `not len(x)`, `x.size(0) == 0`, `x.numel() == 0`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Call) and dotted(test.operand.func) == "len"
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.comparators[0], ast.Constant):
        return False
    bound = test.comparators[0].value
    below_one = bound == 0 if isinstance(test.ops[0], ast.Eq | ast.LtE) else bound == 1
    return (
        below_one
        and isinstance(test.ops[0], ast.Eq | ast.Lt | ast.LtE)
        and any(
            (isinstance(n, ast.Call) and method_name(n) in {"len", "size", "numel"})
            or (isinstance(n, ast.Attribute) and n.attr == "shape")
            for n in ast.walk(test.left)
        )
    )
