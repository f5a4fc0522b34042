"""Paths as users write them, and what the names of files say about their kind."""

import difflib
import os
import re
from typing import Any

from tegula.errors import NotFoundError, UnsupportedError

__all__ = ["ARCHIVES", "checked_path", "expanded", "hint", "refuse_kind"]

ARCHIVES = (".zip", ".ozx")
"""Endings of zip archives."""

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*|\{[^}]*\})")

_HDF5 = ("HDF5", "h5py")
_TIFF = ("TIFF", "tifffile")
_IMAGE = ("image", "PIL or imageio")
_ARCHIVE = ("tar or compressed", "tarfile, gzip and their like")
_TABLE = ("table", "pandas or pyarrow")
_TEXT = ("text", "a text editor's library")
_KINDS = {
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5", ".h5ad", ".nwb"), _HDF5),
    **dict.fromkeys((".nc", ".nc4", ".cdf"), ("netCDF", "xarray or netCDF4")),
    **dict.fromkeys((".tif", ".tiff", ".btf"), _TIFF),
    **dict.fromkeys((".fits", ".fit", ".fts"), ("FITS", "astropy.io.fits")),
    **dict.fromkeys((".parquet", ".feather", ".arrow", ".csv", ".tsv", ".xlsx"), _TABLE),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".jp2"), _IMAGE),
    **dict.fromkeys((".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"), _ARCHIVE),
    **dict.fromkeys((".json", ".yaml", ".yml", ".txt"), _TEXT),
    **dict.fromkeys((".pkl", ".pickle"), ("pickle", "pickle")),
    ".n5": ("N5", "zarr or z5py"),
    ".mat": ("MATLAB", "scipy.io"),
    ".pt": ("PyTorch", "torch"),
    ".safetensors": ("safetensors", "safetensors"),
    ".grib": ("GRIB", "cfgrib"),
    ".grib2": ("GRIB", "cfgrib"),
    ".nii": ("NIfTI", "nibabel"),
    ".mrc": ("MRC", "mrcfile"),
    ".czi": ("CZI", "aicsimageio"),
}
"""What files with an ending are, and what reads and writes them."""

_TARGETS = (
    "tegula writes folders (data.zarr), zip archives (data.zarr.zip, data.ozx), and with tegula.save and tegula.copy "
    "ASDF files (data.asdf) and NumPy files (data.npy, data.npz)"
)


def expanded(path: str) -> str:
    """Return a path with ``~`` and environment variables replaced, as a shell does. Existing paths stay as they are.

    Raises
    ------
    NotFoundError
        If a variable is not set.
    """
    before, mark, after = path.partition("$")
    if not (mark or path.startswith("~")) or os.path.lexists(f"{before}{mark}{after.partition('/')[0]}"):
        return path
    found = os.path.expandvars(os.path.expanduser(path))
    if unset := _VARIABLE.search(found):
        raise NotFoundError(f"the environment variable {unset[1].strip('{}')} in {path!r} is not set")
    return found


def ending(name: str) -> str:
    """Return the ending of a name, in lower case."""
    return os.path.splitext(name.rstrip("/"))[1].lower()


def refuse_kind(name: str, *, verb: str = "write", whole: str | None = None) -> None:
    """Raise an error if a name is that of a file that is no store."""
    file, mark, node = name.partition("#")
    if mark and ending(file) in ARCHIVES:
        raise UnsupportedError(f"cannot {verb} {whole or name}: write the path in the archive as {file}/{node}")
    kind = _KINDS.get(ending(name)) or (_KINDS.get(ending(file)) if mark else None)
    if kind is None and ending(file) in (".asdf", ".npy", ".npz"):
        raise UnsupportedError(f"cannot {verb} {whole or name}: it is not a store of arrays and groups; {_TARGETS}")
    if kind is not None:
        raise UnsupportedError(f"cannot {verb} {whole or name}: {_TARGETS}; for {kind[0]} files use {kind[1]}")


def hint(path: str) -> str:
    """Return what may help if nothing is found at a path, as the end of a sentence; empty if nothing is known."""
    above, inside = path.rstrip("/"), ""
    while above and not os.path.lexists(above):
        above, _, name = above.rpartition("/")
        inside = f"{name}/{inside}".rstrip("/") if inside else name
    above = above or ("/" if path.startswith("/") else ".")
    if os.path.isfile(above):
        return _hint_in_file(above, inside)
    if os.path.islink(above) and not os.path.exists(above):
        return f"; {above} is a link to {os.readlink(above)}, which does not exist"
    try:
        found = sorted(entry.name for entry in os.scandir(above))
    except OSError as error:
        return f"; {above} cannot be listed ({error.strerror})"
    names = [name for name in found if not name.startswith(".") and name != "zarr.json"]
    missing = inside.partition("/")[0]
    return near(missing, names) if missing else _hint_in_folder(above, names)


def _hint_in_file(file: str, inside: str) -> str:
    kind = ending(file)
    try:
        with open(file, "rb") as opened:
            is_asdf = opened.read(5) == b"#ASDF"
    except OSError:
        is_asdf = False
    if is_asdf or kind == ".asdf":
        node = f'; name the array in it "{file}#{inside or "path/of/array"}", or open the file with tegula.open_asdf'
        return f"; {file} is an ASDF file{node}"
    if kind in (".npy", ".npz"):
        return f"; {file} is a NumPy file: use tegula.load or numpy.load"
    if kind in _KINDS:
        what, reader = _KINDS[kind]
        return f"; {file} is a file ({what}): use {reader}"
    return f"; {file} is a file, neither a folder nor a zip archive"


def _hint_in_folder(folder: str, names: list[str]) -> str:
    """Return the names of the stores in a folder, for a message."""
    marks = ("zarr.json", ".zarray", ".zgroup")
    stores = [name for name in names if _is_store(os.path.join(folder, name), marks)]
    if stores:
        return f"; the folder contains {_listed(stores)}: add one of them to the path"
    return "; the folder is empty" if not names else ""


def _is_store(path: str, marks: tuple[str, ...]) -> bool:
    if ending(path) in (*ARCHIVES, ".asdf"):
        return True
    return os.path.isdir(path) and any(os.path.exists(os.path.join(path, mark)) for mark in marks)


def near(missing: str, names: list[str]) -> str:
    """Return the names that are like a missing one, as the end of a sentence."""
    if not names:
        return ""
    lower = {name.lower(): name for name in names}
    close = [lower[name] for name in difflib.get_close_matches(missing.lower(), list(lower), 3, 0.6)]
    begins = [name for name in names if name.startswith(f"{missing}.")]
    found = list(dict.fromkeys([*begins[:3], *close]))
    return f"; did you mean {' or '.join(found)}?" if found else f"; there are {_listed(names)}"


def _listed(names: list[str]) -> str:
    most = 8
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def checked_path(given: Any) -> str:
    """Return the path of a node in a store; the path of the root for None."""
    if given is None or isinstance(given, str):
        return given or ""
    example = given if isinstance(given, (int, tuple, list)) else (100, 100)
    raise TypeError(
        f"the path of a node in the store is a str, not {type(given).__name__}; pass shape, chunks and other "
        f"properties by name, such as chunks={example!r}"
    )
