"""The one part that is compiled: the engine of the events backend. All else is in pyproject.toml.

It is no Python module but a plain shared library that ctypes opens, so one build serves every
Python. It is optional: without a compiler edgesnn installs and runs, on ONNX Runtime alone.
"""

import os

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PARTS = ("plan", "values", "layer", "nodes", "stream", "halves", "refine", "solve")
# No result changes by the two last: nobody asks for errno or for floating-point exceptions, and
# without them loops with roots and comparisons become vectors.
UNIX = ["-O3", "-std=c11", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"]


class BuildLibrary(build_ext):
    """Builds a library that exports its own functions instead of a module's."""

    def get_export_symbols(self, ext):
        """Return no PyInit_ function: there is none."""
        return ext.export_symbols


setup(
    ext_modules=[
        Extension(
            "edgesnn.hardware._engine",
            sources=[f"hardware/engine/{name}.c" for name in PARTS],
            depends=[f"hardware/engine/{name}" for name in ("engine.h", "refine.h", "scatter.inc")],
            extra_compile_args=[] if os.name == "nt" else UNIX,
            optional=True,
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": BuildLibrary},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
