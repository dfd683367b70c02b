# SPDX-License-Identifier: Apache-2.0
"""SFM-502 and 503: losses, scores and counts that a site sends beside a private update."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from .findings import Finding
from .flow import Flow
from .project import Function, Module, Project, dotted, own_nodes
from .rounds import RoundMap, is_client_method

_DP_NAMES = re.compile(
    r"make_private|LocalDpMod|fixedclipping_mod|adaptiveclipping_mod|DifferentialPrivacy|DPOptimizer|DPKeras"
)
_COUNT = re.compile(
    r"(?:^|[_-])(?:n|num|count|size|length|samples|examples|support|steps|rows)(?:[_-]|$)", re.IGNORECASE
)
_LOGGERS = {"wandb.log", "mlflow.log_metric", "mlflow.log_metrics"}


def claims_dp(module: Module) -> bool:
    """Whether a script works with differential privacy: imports Opacus, or names what others provide."""
    if module.imports("opacus"):
        return True
    names = (n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in module.nodes)
    return any(_DP_NAMES.search(name) for name in names)


def unnoised_releases(project: Project, rounds: RoundMap, private: Collection[Path]) -> Iterator[Finding]:
    """What leaves a site in each round, by the frameworks' own ways of sending, judged by `Flow`.

    `private` are the scripts of programs that claim privacy.
    """
    for module in project.modules:
        if module.path not in private:
            continue
        for function in module.all_functions():
            flow: Flow | None = None
            for value, key in _sent(project, function, rounds):
                flow = flow or Flow(project, function)
                yield from _judge(module, function, flow, value, key)


def _judge(module: Module, function: Function, flow: Flow, value: ast.expr, key: str) -> Iterator[Finding]:
    if isinstance(value, ast.Dict):
        for name, part in zip(value.keys, value.values, strict=True):
            said = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else key
            yield from _judge(module, function, flow, part, said)
    elif flow.of(value):
        code = "SFM-503" if _is_count(value, key) else "SFM-502"
        shown = " ".join(ast.unparse(value).split())[:60]
        what = f"{key}: {shown} leaves through {function.shown}"
        yield Finding(str(module.path), value.lineno, code, what)


def _is_count(value: ast.expr, key: str) -> bool:
    return bool(_COUNT.search(key)) or (isinstance(value, ast.Call) and dotted(value.func) == "len")


def _sent(project: Project, function: Function, rounds: RoundMap) -> Iterator[tuple[ast.expr, str]]:
    """(expression, name) of everything besides the model that a function hands to its framework."""
    fit = is_client_method(project, function, ("fit",))
    evaluate = is_client_method(project, function, ("evaluate",))
    for node in own_nodes(function.node):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            first, count, metrics = node.value.elts
            if evaluate:
                yield first, "loss"
            if fit or evaluate:
                yield count, "num_examples"
                yield metrics, "metrics"
        elif isinstance(node, ast.Call):
            yield from _call_sends(function, node, function in rounds.federated)


def _call_sends(function: Function, call: ast.Call, federated: bool) -> Iterator[tuple[ast.expr, str]]:
    module = function.module
    origin = module.origin(call.func)
    package, last = origin.split(".")[0], origin.rsplit(".", 1)[-1]
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if federated and package == "flwr" and last in {"MetricRecord", "MetricsRecord"}:
        for value in [*call.args[:1], *named.values()]:
            yield value, "metrics"
    elif package == "flwr" and last in {"FitRes", "EvaluateRes"}:
        yield from ((named[name], name) for name in ("loss", "num_examples", "metrics") if name in named)
    elif package == "nvflare" and last == "FLModel":
        yield from ((named[name], name) for name in ("metrics", "meta") if name in named)
    elif isinstance(call.func, ast.Attribute) and call.func.attr in {"add_scalar", "add_scalars", "log_metric"}:
        # NVFlare's writer streams to the server; torch's own writes a local file.
        if _made_by(module, dotted(call.func.value)).startswith("nvflare"):
            yield from (
                (v, _tag(call)) for v in [named.get("scalar") or (call.args[1] if len(call.args) > 1 else None)] if v
            )
    elif federated and origin in _LOGGERS:
        yield from ((value, last) for value in [*call.args, *named.values()])


def _tag(call: ast.Call) -> str:
    tags = [k.value for k in call.keywords if k.arg == "tag"] or call.args[:1]
    return str(tags[0].value) if tags and isinstance(tags[0], ast.Constant) else "scalar"


def _made_by(module: Module, name: str) -> str:
    """Origin of what a name was made by: `writer = SummaryWriter()`."""
    for node in module.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            names = {dotted(target) for target in node.targets}
            if name in names:
                return module.origin(node.value.func)
    return ""
