"""Code of ``use-code-string``: the file is there, is Python, and seems to have the function; it is parsed, not run."""

import ast
import os

from uwsgi_router.router.config.model import CodeString, Configuration


def code_problems(configuration: Configuration) -> list[str]:
    """Return a line for each function that can't be there."""
    found = []
    for router in configuration.routers:
        code = router.use_code_string
        if isinstance(code, CodeString):
            problem = _problem(code, configuration.process.chdir)
            if problem:
                found.append(f"{router.kind}-use-code-string = {code}: {problem}")
    return found


def _problem(code: CodeString, chdir: str | None) -> str | None:
    if not ("/" in code.file or code.file.endswith(".py")):
        # A module is looked for on Python's path, which the start has.
        return None
    path = os.path.join(chdir or "", code.file)
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except OSError as error:
        return error.strerror or str(error)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return f"{path}:{line}: {getattr(error, 'msg', error)}" if line else str(error)
    names, open_ended = _names(tree)
    if code.function in names or open_ended:
        return None
    return f"{code.file} has no function {code.function}"


def _names(tree: ast.Module) -> tuple[set[str], bool]:
    """Return the names that a module has, and whether there may be more."""
    names: set[str] = set()
    open_ended = False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                open_ended = open_ended or alias.name == "*"
                names.add((alias.asname or alias.name).partition(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            open_ended = open_ended or node.func.id in ("globals", "exec", "setattr")
    return names, open_ended
