# SPDX-License-Identifier: Apache-2.0
"""Scripts as a static model: imports, classes, functions, who calls whom. Nothing is imported or run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Packages whose submodules may be named as a user's own files are.
_FOREIGN = {"torch", "torchvision", "sklearn", "numpy", "pandas", "opacus", "flwr", "flwr_datasets", "nvflare", "scipy"}

_TRAINS = re.compile(r"train|fit|local|client_update|round")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False, slots=True)
class Function:
    """A function, a method, or a module's own top level (`name` "<module>")."""

    module: Module
    name: str
    node: FunctionNode | ast.Module
    owner: str | None = None  # the class of a method

    @property
    def shown(self) -> str:
        """For people."""
        if self.name == "<module>":
            return "the module"
        return f"{self.owner}.{self.name}" if self.owner else f"{self.name}"


@dataclass(eq=False, slots=True)
class Module:
    """One parsed file."""

    path: Path
    tree: ast.Module
    aliases: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    methods: dict[tuple[str, str], Function] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    nodes: list[ast.AST] = field(default_factory=list)

    def __post_init__(self) -> None:  # noqa: PLR0912 - one case per kind of node
        self.functions["<module>"] = Function(self, "<module>", self.tree)
        self.nodes.append(self.tree)
        for parent in self.nodes:  # grows while it is read: all nodes, each below its parent
            for child in ast.iter_child_nodes(parent):
                self.parents[child] = parent
                self.nodes.append(child)
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.split(".")[0]
                    self.aliases[bound] = alias.name if alias.asname else bound
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
            elif isinstance(node, ast.ClassDef):
                self.bases[node.name] = [self.origin(base) for base in node.bases]
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                parent_node = self.parents[node]
                if isinstance(parent_node, ast.ClassDef):
                    self.methods[parent_node.name, node.name] = Function(self, node.name, node, parent_node.name)
                else:
                    self.functions.setdefault(node.name, Function(self, node.name, node))
        for node in self.nodes:  # Engine = opacus.PrivacyEngine, app = ClientApp(...)
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                value = node.value.func if isinstance(node.value, ast.Call) else node.value
                origin = self.origin(value)
                if origin.endswith(("ClientApp", "ServerApp")) or (
                    origin.startswith("opacus.") and not isinstance(node.value, ast.Call)
                ):
                    self.aliases.setdefault(node.targets[0].id, origin)

    def _import_from(self, node: ast.ImportFrom) -> None:
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                if base == "opacus":
                    self.aliases.setdefault("PrivacyEngine", "opacus.PrivacyEngine")
            else:
                joint = "" if base.endswith(".") else "."
                self.aliases[alias.asname or alias.name] = f"{base}{joint}{alias.name}"

    def origin(self, node: ast.AST) -> str:
        """Dotted name with imports resolved: `op.PrivacyEngine` is `opacus.PrivacyEngine`; "" if it has none."""
        spelled = dotted(node)
        first, _, rest = spelled.partition(".")
        if first in self.aliases:
            return self.aliases[first] + (f".{rest}" if rest else "")
        return spelled

    def all_functions(self) -> Iterator[Function]:
        """Every function and method, the top level included."""
        yield from self.functions.values()
        yield from self.methods.values()

    def imports(self, package: str) -> bool:
        """Whether a name of this package is imported anywhere."""
        return any(origin.split(".")[0] == package for origin in self.aliases.values())

    def ancestors(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """(child, parent) pairs from a node up to the module."""
        while node in self.parents:
            yield node, self.parents[node]
            node = self.parents[node]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of names and attributes, else "".

    Example:
        >>> dotted(ast.parse("self.engine", mode="eval").body), dotted(ast.parse("f()", mode="eval").body)
        ('self.engine', '')
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function or module in source order, without those of functions and classes inside it."""
    waiting = list(ast.iter_child_nodes(root))[::-1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        yield node
        waiting += list(ast.iter_child_nodes(node))[::-1]


def method_name(call: ast.Call) -> str:
    """The last part of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def keyword_value(call: ast.Call, name: str) -> ast.expr | None:
    """A keyword argument's expression."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


class Project:
    """All scripts that are checked together."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = list(modules)
        self._by_stem: dict[str, list[Module]] = {}
        for module in self.modules:
            self._by_stem.setdefault(module.path.stem, []).append(module)
        self._group = self._groups()
        self._methods: dict[str, list[Function]] = {}
        for module in self.modules:
            for (_, name), function in module.methods.items():
                self._methods.setdefault(name, []).append(function)

    def callees(self, function: Function, call: ast.Call) -> list[Function]:
        """Functions of the project that a call may reach; a class stands for its `__init__`."""
        module, spelled = function.module, dotted(call.func)
        if spelled.startswith("self.") and spelled.count(".") == 1 and function.owner:
            return self.method(module, function.owner, spelled[5:])
        if not spelled:
            return []
        first = spelled.split(".")[0]
        if first not in module.aliases:
            return [] if "." in spelled else self._named(module, spelled)
        home, _, name = module.origin(call.func).rpartition(".")
        return [found for other in self.resolve(module, home) for found in self._named(other, name)]

    def trainers(self, module: Module, call: ast.Call) -> list[Function]:
        """Methods that a call on some object may mean, where its name speaks of training: `client.local_train()`."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        receiver = dotted(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if not _TRAINS.search(name) or receiver == "self" or receiver.split(".")[0] in module.aliases:
            return []
        program = self._group[module.path]
        return [f for f in self._methods.get(name, []) if self._group[f.module.path] is program]

    def programs_with(self, holds: Callable[[Module], bool]) -> set[Path]:
        """Paths of all scripts that belong to a program of which some script is so."""
        found = {id(self._group[module.path]) for module in self.modules if holds(module)}
        return {module.path for module in self.modules if id(self._group[module.path]) in found}

    def resolve(self, module: Module, home: str) -> list[Module]:
        """Scripts of the project that an import may mean: by the last part of the name, nearest folder first."""
        first, stem = home.split(".", maxsplit=1)[0], home.rsplit(".", 1)[-1]
        if first in _FOREIGN:
            return []
        named = self._by_stem.get(stem, [])
        beside = [other for other in named if other.path.parent == module.path.parent]
        return beside or named

    def method(self, module: Module, owner: str, name: str) -> list[Function]:
        """A method by name, searched through the bases that are in the project."""
        searched: set[tuple[Path, str]] = set()
        waiting = [(module, owner)]
        while waiting:
            where, current = waiting.pop(0)
            if (where.path, current) in searched:
                continue
            searched.add((where.path, current))
            if (current, name) in where.methods:
                return [where.methods[current, name]]
            for base in where.bases.get(current, []):
                home, _, last = base.rpartition(".")
                waiting += [(other, last) for other in ([where] if not home else self.resolve(where, home))]
        return []

    def ancestry(self, module: Module, owner: str) -> set[str]:
        """Dotted names of all bases that can be seen, those of bases in the project included."""
        found: set[str] = set()
        waiting = [(module, base) for base in module.bases.get(owner, [])]
        while waiting:
            where, base = waiting.pop()
            if base in found:
                continue
            found.add(base)
            home, _, last = base.rpartition(".")
            for other in [where] if not home else self.resolve(where, home):
                waiting += [(other, further) for further in other.bases.get(last, [])]
        return found

    def group(self, module: Module) -> list[Module]:
        """The scripts that import one another, directly or through others: one program."""
        return self._group[module.path]

    def _named(self, module: Module, name: str) -> list[Function]:
        if name in module.bases:
            return self.method(module, name, "__init__")
        return [module.functions[name]] if name in module.functions else []

    def _groups(self) -> Mapping[Path, list[Module]]:
        group = {module.path: [module] for module in self.modules}
        for module in self.modules:
            for origin in list(module.aliases.values()):
                home = origin.rpartition(".")[0]
                for other in {*self.resolve(module, home), *self.resolve(module, origin)}:
                    mine, theirs = group[module.path], group[other.path]
                    if mine is not theirs:
                        mine += theirs
                        for each in theirs:
                            group[each.path] = mine
        return group
