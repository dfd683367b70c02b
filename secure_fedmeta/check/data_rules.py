# SPDX-License-Identifier: Apache-2.0
"""SFM-520 and 521: preprocessing fitted on private records, and parameters that are unpickled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .findings import Finding
from .project import Module, dotted, own_nodes
from .rounds import RoundMap

_FITTED = re.compile(r"^sklearn\.(?:preprocessing|decomposition|impute|feature_selection|feature_extraction)\.")
_NETWORK = ("flwr", "nvflare", "socket", "grpc", "zmq", "requests", "websockets", "http", "fastapi", "flask")
_UNPICKLERS = {
    "pickle.load",
    "pickle.loads",
    "cPickle.loads",
    "cloudpickle.load",
    "cloudpickle.loads",
    "dill.load",
    "dill.loads",
    "joblib.load",
}
_PUBLIC = re.compile(r"public|synthetic|proxy|reference_ranges|range", re.IGNORECASE)


def preprocessing(module: Module) -> Iterator[Finding]:
    """`scaler.fit(...)` on what is not named public; asked of programs that claim privacy."""
    made = {
        dotted(target): module.origin(node.value.func)
        for node in module.nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if dotted(target)
    }
    for node in module.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in {"fit", "fit_transform", "partial_fit"} or not node.args:
            continue
        receiver = node.func.value
        origin = module.origin(receiver.func) if isinstance(receiver, ast.Call) else made.get(dotted(receiver), "")
        if _FITTED.match(origin) and not _PUBLIC.search(ast.unparse(node.args[0])):
            what = f"{origin.rsplit('.', 1)[-1]}.{node.func.attr}({ast.unparse(node.args[0])[:40]})"
            yield Finding(str(module.path), node.lineno, "SFM-520", what)


def networked(module: Module) -> bool:
    """Whether a script talks to others."""
    return any(module.imports(package) for package in _NETWORK)


def unsafe_loading(module: Module, rounds: RoundMap, *, talks: bool) -> Iterator[Finding]:
    """Unpickling in programs that talk to others, or in what runs each round."""
    for function in module.all_functions():
        if not (talks or function in rounds.federated):
            continue
        for node in own_nodes(function.node):
            if not isinstance(node, ast.Call):
                continue
            origin = module.origin(node.func)
            if origin in _UNPICKLERS:
                yield Finding(str(module.path), node.lineno, "SFM-521", f"{origin}(...)")
            elif origin == "torch.load" and _flag(node, "weights_only") is False:
                yield Finding(str(module.path), node.lineno, "SFM-521", "torch.load(..., weights_only=False)")
            elif origin == "numpy.load" and _flag(node, "allow_pickle") is True:
                yield Finding(str(module.path), node.lineno, "SFM-521", "numpy.load(..., allow_pickle=True)")


def _flag(call: ast.Call, name: str) -> object:
    return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)
