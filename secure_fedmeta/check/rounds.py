# SPDX-License-Identifier: Apache-2.0
"""Which code runs once a round: what a federated framework calls again and again, and what that calls in turn."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .project import Function, Module, Project, dotted, own_nodes

_ROUND_WORD = re.compile(r"(^|_)(rounds?|rnd|epochs?|fedround|comm)(_|\d|$)", re.IGNORECASE)
_READY_WORD = re.compile(
    r"engine|accountant|init|setup|set_up|ready|prepared|wrapped|attached|made_private|cache", re.I
)
_CLIENT_BASES = ("NumPyClient", "Client")
_SERVES = {"train": "train", "evaluate": "evaluate"}


@dataclass(frozen=True, slots=True)
class PerRound:
    """A function that runs every round, and why: `fit is called in each round`.

    Attributes:
        kept: whether `self` outlives a round; Flower's client_fn makes the client anew for each message.
    """

    function: Function
    reason: str
    kept: bool


def is_client_method(project: Project, function: Function, names: tuple[str, ...] = ("fit", "evaluate")) -> bool:
    """Whether Flower calls this method of a client in each round."""
    if function.owner is None or function.name not in names:
        return False
    bases = project.ancestry(function.module, function.owner)
    return any(base.startswith(("flwr.", "fl.")) and base.endswith(_CLIENT_BASES) for base in bases)


def app_role(function: Function) -> str | None:
    """The role of a function registered with a ClientApp, train or evaluate; None otherwise."""
    if isinstance(function.node, ast.Module):
        return None
    for decorator in function.node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Attribute) and target.attr in _SERVES:
            origin = function.module.origin(target.value)
            if origin.startswith("flwr.") and origin.endswith("ClientApp"):
                return target.attr
    return None


def client_factories(module: Module) -> Iterator[str]:
    """Names of functions that are handed over as `client_fn`: called for each message, not once."""
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = module.origin(node.func).rsplit(".", 1)[-1]
        if name == "ClientApp" and node.args:
            yield dotted(node.args[0])
        if name in {"ClientApp", "start_simulation", "start_client", "start_numpy_client"}:
            yield from (dotted(keyword.value) for keyword in node.keywords if keyword.arg == "client_fn")


def round_loops(function: Function) -> Iterator[ast.For | ast.While]:
    """Loops of a function that go round by round (or epoch by epoch), by how they are named, and NVFlare's."""
    for node in own_nodes(function.node):
        if isinstance(node, ast.For):
            counted = [node.target, *(node.iter.args if isinstance(node.iter, ast.Call) else [node.iter])]
            names = [n for part in counted for n in _identifiers(part)]
            if any(_ROUND_WORD.search(name) for name in names):
                yield node
        elif isinstance(node, ast.While):
            names = _identifiers(node.test)
            if "is_running" in names or any(_ROUND_WORD.search(name) for name in names):
                yield node


def _identifiers(node: ast.AST) -> list[str]:
    found = []
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.append(part.id)
        elif isinstance(part, ast.Attribute):
            found.append(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.append(part.value.replace("-", "_"))
    return found


class RoundMap:
    """All that runs once a round in a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.per_round: dict[Function, PerRound] = {}
        self._factories = {module.path: set(client_factories(module)) for module in project.modules}
        self.federated: set[Function] = set()  # reached from a client's own entry points, not from any loop
        waiting = [(each, True) for each in self._entries()]
        waiting += [(each, False) for each in self._called_in_loops()]
        while waiting:
            each, federated = waiting.pop(0)
            if federated:
                if each.function in self.federated:
                    continue
                self.federated.add(each.function)
            elif each.function in self.per_round:
                continue
            self.per_round.setdefault(each.function, each)
            for node in own_nodes(each.function.node):
                if isinstance(node, ast.Call) and not once_only(each.function, node, None, kept=each.kept):
                    for callee in project.callees(each.function, node):
                        reason = f"{each.function.shown} calls it, and {each.reason}"
                        same = callee.owner == each.function.owner or callee.owner is None
                        waiting.append((PerRound(callee, reason, each.kept and same), federated))

    def _entries(self) -> Iterator[PerRound]:
        for module in self.project.modules:
            factories = self._factories[module.path]
            made_anew = {
                call_name
                for factory in factories & set(module.functions)
                for call_name in _called_names(module.functions[factory])
            }
            for name in sorted(factories & set(module.functions)):
                yield PerRound(module.functions[name], "Flower calls client_fn for each message", False)
            for function in module.all_functions():
                role = app_role(function)
                if role:
                    yield PerRound(function, f"Flower calls @app.{role} in each round", False)
                elif is_client_method(self.project, function):
                    kept = not (function.owner in made_anew or self._made_elsewhere(function))
                    yield PerRound(function, f"Flower calls {function.name} in each round", kept)

    def _made_elsewhere(self, function: Function) -> bool:
        """Whether a client_fn in another file of the same program makes this class."""
        for other in self.project.group(function.module):
            for factory in self._factories[other.path] & set(other.functions):
                if function.owner in _called_names(other.functions[factory]):
                    return True
        return False

    def _called_in_loops(self) -> Iterator[PerRound]:
        for module in self.project.modules:
            for function in module.all_functions():
                for loop in round_loops(function):
                    for node in own_nodes(loop):
                        if isinstance(node, ast.Call) and not once_only(function, node, loop, kept=True):
                            reason = f"the loop in line {loop.lineno} of {module.path.name} goes round by round"
                            called = self.project.callees(function, node) or self.project.trainers(module, node)
                            for callee in called:
                                yield PerRound(callee, reason, True)


def _called_names(function: Function) -> set[str]:
    return {dotted(node.func).rsplit(".", 1)[-1] for node in own_nodes(function.node) if isinstance(node, ast.Call)} - {
        ""
    }


def once_only(function: Function, node: ast.AST, loop: ast.AST | None, *, kept: bool) -> bool:
    """Whether a guard lets this code run the first time only: `if self.engine is None`, `if current_round == 0`, ...

    `loop` bounds the search where code is judged inside a loop. `kept` tells whether `self` outlives a round.
    """
    module = function.module
    if loop is None and not isinstance(function.node, ast.Module):
        cached = {module.origin(d.func if isinstance(d, ast.Call) else d) for d in function.node.decorator_list}
        if {name.rsplit(".", 1)[-1] for name in cached} & {"cache", "lru_cache", "cached_property"}:
            return True
    names_here = _local_names(function) if loop is None else set()
    for child, parent in module.ancestors(node):
        if isinstance(parent, ast.If) and child in parent.body and _first_time(parent.test, kept, names_here):
            return True
        if isinstance(parent, ast.If) and child in parent.orelse and _already(parent.test, kept, names_here):
            return True
        if isinstance(parent, ast.ExceptHandler) and parent.type is not None:
            caught = set(_identifiers(parent.type))
            if caught & {"AttributeError", "KeyError", "NameError", "FileNotFoundError"} and kept:
                return True
        body = getattr(parent, "body", [])
        if isinstance(body, list) and child in body:
            before = body[: body.index(child)]
            if any(
                isinstance(s, ast.If)
                and isinstance(s.body[-1], ast.Return | ast.Continue)
                and _already(s.test, kept, names_here)
                for s in before
            ):
                return True
        if parent is (loop or function.node):
            break
    return False


def _local_names(function: Function) -> set[str]:
    """Names that a function binds itself and does not declare global: nothing in them outlives the call."""
    outer = {
        name for node in own_nodes(function.node) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    bound = {n.id for n in own_nodes(function.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return bound - outer


def _first_time(test: ast.expr, kept: bool, forgotten: set[str]) -> bool:  # noqa: PLR0911 - one per form of guard
    """`x is None`, `not hasattr(self, "engine")`, `key not in CACHE`, `round == 0`, `not self.initialised`."""
    if isinstance(test, ast.BoolOp):
        return isinstance(test.op, ast.And) and any(_first_time(part, kept, forgotten) for part in test.values)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, operator, right = test.left, test.ops[0], test.comparators[0]
        if isinstance(operator, ast.Is) and _is_none(right):
            return _outlives(left, kept, forgotten) and bool(_READY_WORD.search(" ".join(_identifiers(left))))
        if isinstance(operator, ast.NotIn):
            return _outlives(right, kept, forgotten)
        if isinstance(operator, ast.Eq) and isinstance(right, ast.Constant) and right.value in {0, 1}:
            return any(_ROUND_WORD.search(name) for name in _identifiers(left))
        return False
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = test.operand
        if isinstance(inner, ast.Call) and dotted(inner.func) == "hasattr" and inner.args:
            return _outlives(inner.args[0], kept, forgotten)
        return _outlives(inner, kept, forgotten) and bool(_READY_WORD.search(" ".join(_identifiers(inner))))
    return False


def _already(test: ast.expr, kept: bool, forgotten: set[str]) -> bool:
    """The opposite tests: `x is not None`, `hasattr(...)`, `key in CACHE`, `self.engine`."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        opposite = {ast.IsNot: ast.Is(), ast.In: ast.NotIn()}.get(type(test.ops[0]))
        if opposite is None:
            return False
        return _first_time(ast.Compare(test.left, [opposite], test.comparators), kept, forgotten)
    return _first_time(ast.UnaryOp(ast.Not(), test), kept, forgotten)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _outlives(node: ast.expr, kept: bool, forgotten: set[str]) -> bool:
    first = dotted(node).split(".")[0]
    return kept if first == "self" else first not in forgotten
