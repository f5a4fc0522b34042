"""Versions of tegula and of the packages that it works with."""

import sys
from typing import TextIO

from tegula import _tegula

__all__ = ["show_versions"]

PACKAGES = (
    "numpy", "zarr", "numcodecs", "asdf", "asdf-zarr", "astropy", "xarray", "dask", "fsspec", "s3fs", "gcsfs",
    "obstore", "icechunk", "ml-dtypes", "pyarrow",
)  # fmt: skip


def show_versions(file: TextIO | None = None) -> None:
    """Print the versions of tegula, Python, the system, and the packages that tegula works with, for reports.

    Parameters
    ----------
    file : text file, optional
        Where to print; by default standard output.

    Examples
    --------
    >>> tegula.show_versions()  # doctest: +ELLIPSIS
    tegula: ...
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    rows = {
        "tegula": _tegula.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}, {sys.byteorder}-endian",
        "threads": str(_tegula.threads()),
    }
    for package in PACKAGES:
        try:
            rows[package] = version(package)
        except PackageNotFoundError:
            rows[package] = "not installed"
    for name, found in rows.items():
        print(f"{name}: {found}", file=file)
