# SPDX-License-Identifier: Apache-2.0
"""Where numbers that were computed on private data go, within a function and through the functions that it calls.

An approximation in both directions, made for short scripts: private data are what loaders, data sets and their usual
names hold; whatever is computed from them is private, until it passes something that adds noise. A model is not: that
its weights are protected is the optimizer's task. A name that was bound to something harmless is harmless.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from .project import Function, Project, dotted

_DATA = re.compile(
    r"(?:loader|loaders|dataset|datasets|(?<!meta)data|trainset|testset|valset|dataframe|records|patients|labels|"
    r"targets|images|examples|rows|trainset|df)$|^[xy]_?(?:train|test|val|valid|local|private)$|^batch$|^(train|val|test)_?ds$",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"public|synthetic|proxy|server_|central|dummy|fake", re.IGNORECASE)
_PRODUCERS = re.compile(
    r"^_?(?:load|get|read|prepare|make|build|create|fetch|partition|split)_?\w*(?:data|dataset|datasets|loader|loaders|"
    r"partition|csv|parquet|split)$|^DataLoader$|Dataset$",
)
_NOISE = re.compile(
    r"laplace|gaussian|noise|noisy|noised|sanitiz|sanitis|privatiz|privatis|randomized_response|^dp_|_dp$|"
    r"secure_sum|add_dp|^normal$|^gauss$|discrete_",
    re.IGNORECASE,
)
_ACCOUNTING = {"get_epsilon", "get_privacy_spent"}
_HARMLESS = re.compile(
    r"^(?:epsilon|eps|delta|net|optimi[sz]er|opt|\w*engine|criterion|device|\w*model)$", re.IGNORECASE
)
_COLLECTS = {"append", "extend", "update", "add", "insert", "setdefault"}
_DEPTH = 4

Summary = bool | tuple[bool, ...]


class Flow:
    r"""Which names of one function hold what was computed on private data.

    Example:
        >>> from pathlib import Path
        >>> from .project import Module
        >>> code = "def fit(self, loader):\n    n = len(loader.dataset)\n    lr = 0.1\n    return n, lr"
        >>> module = Module(Path("x.py"), ast.parse(code))
        >>> flow = Flow(Project([module]), module.functions["fit"])
        >>> flow.result
        (True, False)
    """

    def __init__(
        self, project: Project, function: Function, arguments: dict[str, bool] | None = None, depth: int = _DEPTH
    ) -> None:
        self._project, self._function, self._depth = project, function, depth
        self.private: dict[str, bool] = dict(arguments or {})
        self._returned: list[Summary] = []
        for _ in range(2):  # loops: what the end of a body binds, its beginning may read
            self._returned.clear()
            self._block(function.node.body)

    @property
    def result(self) -> Summary:
        """What it returns: one truth, or one per place if it always returns tuples of one length."""
        tuples = [r for r in self._returned if isinstance(r, tuple)]
        if tuples and len(tuples) == len(self._returned) and len({len(r) for r in tuples}) == 1:
            return tuple(any(place) for place in zip(*tuples, strict=True))
        return any(any(r) if isinstance(r, tuple) else r for r in self._returned)

    # -- statements ----------------------------------------------------------------------------------

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:  # noqa: PLR0912 - one case per kind of statement
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.AugAssign(target=target, value=value):
                noised = _is_noise_call(value)
                self._set(target, False if noised else self.of(target) or self.of(value))
            case ast.For(target=target, iter=source) | ast.AsyncFor(target=target, iter=source):
                self._set_all(target, self.of(source))
                self._block([*node.body, *node.orelse])
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    if item.optional_vars is not None:
                        self._set_all(item.optional_vars, self.of(item.context_expr))
                self._block(node.body)
            case ast.Return(value=ast.expr() as value):
                parts = value.elts if isinstance(value, ast.Tuple) else None
                if parts is not None and not any(isinstance(part, ast.Starred) for part in parts):
                    self._returned.append(tuple(self.of(part) for part in parts))
                else:
                    self._returned.append(self._call(value) if isinstance(value, ast.Call) else self.of(value))
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attr, value=receiver)) as call):
                if attr in _COLLECTS and any(self.of(a) for a in [*call.args, *(k.value for k in call.keywords)]):
                    self._set(receiver, True)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass
            case _:
                for name in ("body", "orelse", "finalbody"):
                    self._block(getattr(node, name, []))
                for handler in getattr(node, "handlers", []):
                    self._block(handler.body)
                for case in getattr(node, "cases", []):
                    self._block(case.body)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            names = target.elts
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(names):
                for each, part in zip(names, value.elts, strict=True):
                    self._bind(each, part)
                return
            result = self._call(value) if isinstance(value, ast.Call) else self.of(value)
            if isinstance(result, tuple) and len(result) == len(names):
                for each, private in zip(names, result, strict=True):
                    self._set(each, private)
                return
            whole = any(result) if isinstance(result, tuple) else result
            known = isinstance(value, ast.Call) and bool(self._callees(value))
            for each in names:
                self._set(each, whole and (known or not self._harmless(each)))
            return
        private = self.of(value)
        if isinstance(value, ast.Call) and not self._callees(value) and self._harmless(target):
            private = False
        self._set(target, private)

    @staticmethod
    def _harmless(target: ast.expr) -> bool:
        return bool(_HARMLESS.match(dotted(target).rsplit(".", 1)[-1]))

    def _set(self, target: ast.expr, private: bool) -> None:
        if isinstance(target, ast.Subscript):  # metrics["loss"] = ...: a collection is private once a part is
            name = dotted(target.value)
            private = private or self.private.get(name, False)
        else:
            name = dotted(target.value if isinstance(target, ast.Starred) else target)
        if name:
            self.private[name] = private

    def _set_all(self, target: ast.expr, private: bool) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._set_all(each, private)
        else:
            self._set(target, private)

    # -- expressions ---------------------------------------------------------------------------------

    def of(self, node: ast.AST) -> bool:  # noqa: PLR0911 - one case per kind of expression
        """Whether an expression's value was computed on private data."""
        match node:
            case ast.Constant():
                return False
            case ast.Name(id=name):
                return self.private[name] if name in self.private else _named_private(name)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Call():
                result = self._call(node)
                return any(result) if isinstance(result, tuple) else result
            case ast.BinOp():
                parts = [node.left, node.right]
                return not any(_is_noise_call(part) for part in parts) and any(self.of(part) for part in parts)
            case ast.Lambda():
                return False
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for generator in node.generators:
                    self._set_all(generator.target, self.of(generator.iter))
                made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return any(self.of(part) for part in made)
            case ast.Dict():
                return any(self.of(value) for value in node.values)
            case ast.IfExp():
                return self.of(node.body) or self.of(node.orelse)
            case ast.Subscript():
                return self.of(node.value)
            case _:
                return any(self.of(child) for child in ast.iter_child_nodes(node))

    def _attribute(self, node: ast.Attribute) -> bool:
        name = dotted(node)
        if name in self.private:
            return self.private[name]
        if name.startswith("self.") and name.count(".") == 1:
            return _named_private(node.attr)
        return self.of(node.value)

    def _callees(self, call: ast.Call) -> list[Function]:
        return self._project.callees(self._function, call)

    def _call(self, call: ast.Call) -> Summary:
        name = dotted(call.func).rsplit(".", 1)[-1] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if name in _ACCOUNTING or name in {"state_dict", "parameters"} or _NOISE.search(name):
            return False
        if name.startswith("make_private"):
            return (False, False, False, True) if _has(call, "criterion") else (False, False, True)
        if _PRODUCERS.search(name) and not any(_public_argument(part) for part in given):
            return True
        callees = self._callees(call)
        if callees and self._depth > 0 and name not in {c.owner for c in callees}:
            results = [self._summary(callee, call) for callee in callees]
            if len(results) == 1:
                return results[0]
            return any(any(r) if isinstance(r, tuple) else r for r in results)
        receiver = isinstance(call.func, ast.Attribute) and self.of(call.func.value)
        return receiver or any(self.of(part) for part in given)

    def _summary(self, callee: Function, call: ast.Call) -> Summary:
        if isinstance(callee.node, ast.Module):
            return False
        names = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        if callee.owner and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        arguments = dict.fromkeys([*names, *(a.arg for a in callee.node.args.kwonlyargs)], False)
        arguments |= {name: self.of(value) for name, value in zip(names, call.args, strict=False)}
        arguments |= {k.arg: self.of(k.value) for k in call.keywords if k.arg}
        return Flow(self._project, callee, arguments, self._depth - 1).result


def _named_private(name: str) -> bool:
    return bool(_DATA.search(name)) and not _PUBLIC.search(name)


def _has(call: ast.Call, keyword: str) -> bool:
    return any(each.arg == keyword for each in call.keywords)


def _public_argument(node: ast.expr) -> bool:
    return any(_PUBLIC.search(part.id) for part in ast.walk(node) if isinstance(part, ast.Name))


def _is_noise_call(node: ast.AST) -> bool:
    """Whether an operand is noise, possibly scaled: `rng.laplace(...)`, `s * np.random.normal()`."""
    return any(
        isinstance(part, ast.Call)
        and _NOISE.search(part.func.attr if isinstance(part.func, ast.Attribute) else dotted(part.func))
        for part in ast.walk(node)
    )
