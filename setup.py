"""Builds the one compiled module, nodecore/table/_table.pyx, where a C compiler is at hand.

The extension is optional: without a compiler, or with RINGDECK_NO_EXTENSION=1, the plain Python
table serves. `python setup.py build_ext --inplace` builds it for a working copy.
"""

import os

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PARTS = (
    "_arrays",
    "_hashing",
    "_entry",
    "_filter",
    "_counts",
    "_blocks",
    "_waiting",
    "_orders",
    "_worths",
    "_expiries",
    "_ghosts",
    "_segments",
    "_balance",
)
"""Files that the module includes."""


def extensions() -> list[Extension]:
    if os.environ.get("RINGDECK_NO_EXTENSION", "") not in ("", "0"):
        return []
    from Cython.Build import cythonize

    return cythonize(
        [
            Extension(
                "nodecore.table._table",
                ["nodecore/table/_table.pyx"],
                depends=[f"nodecore/table/{part}.pxi" for part in PARTS],
                optional=True,
            )
        ],
        language_level=3,
    )


class OptionalBuild(build_ext):
    """Forgives a compiler that fails or is not there, whatever it raises.

    setuptools' own ``optional`` misses some: it and distutils may hold two classes of one name.
    """

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            self.warn(f"{ext.name} is not built, the plain table will serve: {error}")

    def copy_extensions_to_source(self) -> None:
        built = [ext for ext in self.extensions if os.path.exists(self.built_path(ext))]
        self.extensions = built
        super().copy_extensions_to_source()

    def built_path(self, ext: Extension) -> str:
        """Where the compiler left the extension."""
        return os.path.join(self.build_lib, self.get_ext_filename(self.get_ext_fullname(ext.name)))


setup(ext_modules=extensions(), cmdclass={"build_ext": OptionalBuild})
