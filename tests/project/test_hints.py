"""Every hint in the package, held against both faces: each tongue speaks its own language, messages neither.

Read from the source: hints of errors that hardly ever happen are held as well. That following them works is
tested where they are met, in `tests/cli/test_hints.py` and `tests/store/test_hints.py`.
"""

import ast
import functools
import importlib
import re
from itertools import chain

import pytest

from mdstore import errors
from mdstore.errors import Hint
from tests.project.test_layers import FACES, FILES, own

KINDS = {name for name in errors.__all__ if name != "Hint"} | {"PieceError"}
PYTHON = re.compile(r"\b(?:store|mdstore)\.\w|\b[a-z_]+=(?!=)|\w\(\)|derive_from|\bTrue\b|\bFalse\b|\bNone\b")
OPTION = re.compile(r"(?<![\w-])-(?:-[a-z][\w-]*|[a-z]\b)")  # such as --force or -t, not find's -inum
COLUMNS = re.compile(r"--columns '?[a-z]+=")  # an option that has pairs: --columns volume=NAME
PIP = re.compile(r"pip install \S+( \S+)?")  # a command, and the same for everybody
# What would be advice in one tongue; arguments that only Python has may be named: `limit=0 is no number`.
ONE_TONGUE = re.compile(r"(?<![\w-])--[a-z]|\bstore\.\w+\(|\b\w+='")
PATHS = [path for path in FILES if own(path)[0] not in (*FACES, "errors")]


@functools.cache
def parsed(path):
    """Return the tree of a file: parsed by the worker that tests it, not by each that collects."""
    return ast.parse(path.read_text())


class Source:
    """A module and its text: what names and calls in it stand for."""

    def __init__(self, tree, module):
        self.module = module
        self.scopes = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]
        self.functions = {one.name: one for one in self.scopes}

    def errors(self):
        """Yield (the function it is in, the call) for each error that is made."""
        for scope in self.scopes:
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and _name(node.func) in KINDS:
                    yield scope, node

    def hints(self, node, scope):
        """Yield what a hint may say, as (Python, command line); names are followed to what they stand for."""
        if isinstance(node, ast.IfExp):
            yield from chain(self.hints(node.body, scope), self.hints(node.orelse, scope))
        elif isinstance(node, ast.Call) and _name(node.func) == "Hint":
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            if len(parts) == len(Hint._fields):  # else it is put together of hints that are held themselves
                yield tuple(self.text(part) for part in parts)
        elif isinstance(node, ast.Call) and _name(node.func) in self.functions:
            function = self.functions[_name(node.func)]
            for part in ast.walk(function):
                if isinstance(part, ast.Return) and part.value is not None:
                    yield from self.hints(part.value, function)
        elif isinstance(node, ast.Name) and isinstance(getattr(self.module, node.id, None), Hint | str):
            said = getattr(self.module, node.id)
            yield said if isinstance(said, Hint) else (said, said)
        elif isinstance(node, ast.Name):
            for part in ast.walk(scope):
                if isinstance(part, ast.Assign) and node.id in map(_name, part.targets):
                    yield from self.hints(part.value, scope)
        elif self.text(node):
            yield self.text(node), self.text(node)

    def text(self, node):
        """Return the text that an expression makes, without what is known only when it runs."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else ""
        if isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.IfExp):
            parts = (part for part in ast.iter_child_nodes(node) if part is not getattr(node, "test", None))
            return "".join(map(self.text, parts))
        if isinstance(node, ast.Name) and isinstance(getattr(self.module, node.id, None), str):
            return getattr(self.module, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            said = getattr(self.module, node.value.id, None)
            return str(getattr(said, node.attr)) if isinstance(said, Hint) else ""
        return ""


def _name(node):
    return getattr(node, "id", None) or getattr(node, "attr", None)


def complaints(source, *, is_cli):
    """Yield what is wrong with the messages and hints of a module."""
    for scope, call in source.errors():
        said = [source.text(part) for part in call.args]
        yield from (f"the message has the hint: {text}" for text in said if "Hint" in text)
        if not is_cli:
            yield from (f"the message speaks one tongue: {text}" for text in said if ONE_TONGUE.search(text))
        for hint in (keyword.value for keyword in call.keywords if keyword.arg == "hint"):
            for python, cli in source.hints(hint, scope):
                if OPTION.search(PIP.sub("", python)) and not is_cli:
                    yield f"an option in the hint for Python: {python}"
                if PYTHON.search(COLUMNS.sub("", cli)):
                    yield f"Python in the hint for the command line: {cli}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: "/".join(own(path)))
def test_each_tongue_speaks_its_own_language(path):
    module = importlib.import_module(".".join(("mdstore", *own(path))).removesuffix(".__init__"))
    source = Source(parsed(path), module)
    assert list(complaints(source, is_cli=own(path)[0] == "cli")) == []


def test_no_text_below_the_command_line_has_a_hint_in_itself():
    for path in PATHS:
        tree = parsed(path)
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = {ast.get_docstring(one, clean=False) for one in ast.walk(tree) if isinstance(one, documented)}
        for node in ast.walk(tree):
            if own(path)[0] != "cli" and isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "Hint:" not in node.value or node.value in docs, f"{path}: {node.value}"


def test_the_hints_are_found():
    found = 0
    for path in PATHS:
        module = importlib.import_module(".".join(("mdstore", *own(path))).removesuffix(".__init__"))
        source = Source(parsed(path), module)
        for scope, call in source.errors():
            for keyword in call.keywords:
                if keyword.arg == "hint":
                    found += len(list(source.hints(keyword.value, scope)))
    assert found > 70


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("QueryError('x. Hint: y')", "the message has the hint"),
        ("QueryError(f'{x}: store.sql(...) only reads')", "the message speaks one tongue"),
        ("QueryError('x', hint='--force replaces it')", "an option in the hint for Python"),
        ("QueryError('x', hint=Hint('y', 'give derive_from'))", "Python in the hint for the command line"),
        ("QueryError('x', hint=Hint('y', f'overwrite={x}'))", "Python in the hint for the command line"),
        ("QueryError('x', hint=meant(x))", "Python in the hint for the command line"),
        ("QueryError('x', hint=said)", "Python in the hint for the command line"),
    ],
)
def test_what_is_wrong_is_found(code, complaint):
    tree = ast.parse(
        "def meant(x):\n    return f'call store.sql({x})' if x else None\n"
        f"def work(x):\n    said = 'call store.x()' if x else None\n    raise {code}\n"
    )
    assert any(one.startswith(complaint) for one in complaints(Source(tree, errors), is_cli=False))
