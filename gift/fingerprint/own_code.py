"""The user's own code behind an import path such as `my_package.rewards:brevity`.

Followed is the package of the function itself, and whatever lies outside of the folder of installed packages: a file
beside it, a checkout that is installed editable. Of installed packages that it imports the version counts, of this
library what it can reach, as of a stage.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from gift.errors import GiftError
from gift.fingerprint.library import reach_in_library
from gift.fingerprint.modules import reach
from gift.fingerprint.packages import computing_packages, installed_version

LIBRARY = "gift"


def own_code(function: str) -> dict[str, str]:
    """`code <module>` or `source <module>` → digest, `package <name>` → version: all that `module:function` reaches.

    Raises:
        GiftError: a file is no Python.
    """
    module = function.partition(":")[0]
    top = module.partition(".")[0]

    if top in sys.stdlib_module_names:
        return {}  # Python's version says it all
    if top == LIBRARY:
        return _of_library([module])
    library: list[str] = []

    def find(name: str) -> Path | None:
        first = name.partition(".")[0]
        if first == LIBRARY:
            library.append(name)
        if first == LIBRARY or first in sys.stdlib_module_names:
            return None
        path = _source(name)
        return path if path is not None and (first == top or not _is_installed(path)) else None

    if find(module) is None:
        return {f"code {module}": "not on this machine"}  # with several nodes it may be on theirs alone
    try:
        found = reach([module], find)
    except SyntaxError as error:
        raise GiftError(f"reward {function!r}: {error.filename}, line {error.lineno}, is no Python") from error
    names = {name for other in found.others - sys.stdlib_module_names - {LIBRARY} for name in _distributions(other)}
    versions = {f"package {name}": installed_version(name) or "" for name in sorted(names)}
    return {f"code {name}": digest for name, digest in found.digests.items()} | versions | _of_library(library)


def _of_library(modules: Iterable[str]) -> dict[str, str]:
    """In the words of `gift.execution.output`, as the stage that calls the function may reach the same modules."""
    facts: dict[str, str] = {}
    for module in modules:
        found = reach_in_library(module)
        facts |= {f"source {name}": digest for name, digest in found.digests.items()}
        facts |= {f"package {name}": version for name, version in computing_packages(found.others).items()}
    return facts


def _distributions(module: str) -> list[str]:
    """What a top-level module was installed from; nothing where it was not."""
    if installed_version(module) is not None:
        return [module]
    return importlib.metadata.packages_distributions().get(module, [])  # reads the file lists of all: seconds


def _source(name: str) -> Path | None:
    """The file of a module, Python or compiled, found without running the packages above it."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # `__main__`
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        # Without the names above it: of a namespace package Python asks the imported parent, and nothing is imported.
        spec = importlib.machinery.PathFinder.find_spec(part, list(spec.submodule_search_locations))
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _is_installed(path: Path) -> bool:
    folders = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")]
    return any(folder in path.resolve().parents for folder in folders)
