"""Builds the one compiled module, nodecore/table/_table.pyx, where a C compiler is at hand."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

extensions = []
if os.environ.get("RINGDECK_NO_EXTENSION", "") in ("", "0"):
    extensions = cythonize(
        [Extension("nodecore.table._table", ["nodecore/table/_table.pyx"], optional=True)],
        language_level=3,
    )
setup(ext_modules=extensions)
