"""`tegula demo`: stores a mosaic of the Hubble deep field in Zarr and in ASDF, and cuts a region out of both."""

import argparse
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tegula
from tegula._cli import cutout, info, picture, region, source
from tegula._cli.screen import GOOD, LABEL, NAME, Screen
from tegula._format import byte_size, count
from tegula.asdf import chunked
from tegula.stores._path import expanded

TILES = 4
CREDIT = "NASA, ESA, and the Hubble eXtreme Deep Field team; as in scikit-image"
# An elliptical galaxy, a star and a spiral galaxy, in pixels of a tile.
CENTER, WIDTH = (528, 748), 256


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="try tegula on a picture of the Hubble telescope",
        description="Stores a mosaic of the Hubble deep field as sharded Zarr V3 and as Zarr inside ASDF, cuts the "
        "same region out of both, compares the cutouts and writes a picture. Requires the extra [demo].",
    )
    parser.add_argument(
        "--folder", type=folder_path, default=Path("tegula-demo"), help="output folder (default: tegula-demo)"
    )
    parser.add_argument("--small", action="store_true", help="store one tile of 10 MB instead of sixteen")
    return parser


def folder_path(text: str) -> Path:
    """Parse the path of a folder."""
    return Path(expanded(text))


def run(arguments: argparse.Namespace, screen: Screen) -> None:
    """Run the command."""
    folder: Path = arguments.folder
    tiles = 1 if arguments.small else TILES
    with screen.working("reading the picture"):
        mosaic = bands(hubble(), tiles)
    folder.mkdir(parents=True, exist_ok=True)
    zarr, asdf, png = folder / "hubble.zarr", folder / "hubble.asdf", folder / "hubble-cutout.png"

    kind = f"{mosaic.shape[1]} x {mosaic.shape[2]} pixels in 3 bands of {mosaic.dtype}, {byte_size(mosaic.nbytes)}"
    screen.line("The Hubble deep field, ", f"{tiles} x {tiles} tiles: " if tiles > 1 else "", kind)
    screen.line((CREDIT, LABEL))

    header(screen, "Zarr V3, many inner chunks to a shard", zarr)
    seconds = timed(lambda: write_zarr(zarr, mosaic))
    wrote(screen, mosaic, zarr, seconds)
    show(str(zarr), screen)

    header(screen, "Zarr inside ASDF, a block for each chunk", asdf)
    seconds = timed(lambda: write_asdf(asdf, mosaic, screen))
    wrote(screen, mosaic, asdf, seconds)
    show(str(asdf), screen)

    header(screen, "The same cutout from both", None)
    where = cutout_region(tiles)
    names = [f"{zarr}/sci/image", f"{asdf}#sci/image"]
    cuts = [cut_out(name, where, screen) for name in names]
    if not all(np.array_equal(cut, mosaic[where]) for cut in cuts):
        raise tegula.CorruptDataError("a cutout differs from the array that was written")
    numbers = cutout.statistics(cuts[0])
    text = ", ".join(f"{name} {numbers[name]:.4g}" for name in ("min", "max", "mean"))
    screen.line()
    screen.line(("equal", GOOD), f": {picture.shape(cuts[0])} {cuts[0].dtype}, {text}")
    picture.write_png(png, picture.pixels(cuts[0], "asinh", 0.1))
    screen.line(("wrote ", LABEL), (str(png), GOOD))

    header(screen, "Try next", None)
    for command in commands(names, folder, where):
        screen.line("  ", command)


def hubble() -> Any:
    """Load the Hubble deep field as scikit-image ships it, (872, 1000, 3) uint8."""
    try:
        from skimage.data import hubble_deep_field
    except ImportError as error:
        raise tegula.UnsupportedError(f"the demo needs the extra [demo], pip install 'tegula[demo]': {error}") from None
    return hubble_deep_field()


def bands(image: Any, tiles: int) -> Any:
    """Return bands of flux, (3, y, x) float32: the picture repeated, with every second tile mirrored."""
    height, width = image.shape[0] * tiles, image.shape[1] * tiles
    mosaic = np.pad(image, [(0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)], mode="symmetric")
    # Pixel values are about the square root of the flux.
    return np.ascontiguousarray(np.moveaxis((mosaic.astype(np.float32) / 255) ** 2, -1, 0))


def cutout_region(tiles: int) -> tuple[Any, ...]:
    """Return the region that the demo cuts out."""
    first = tiles // 2 - tiles // 2 % 2  # a tile that is not mirrored
    corner = [first * n + c - WIDTH // 2 for n, c in zip((872, 1000), CENTER, strict=True)]
    return (slice(None), *(slice(c, c + WIDTH) for c in corner))


def write_zarr(path: Path, mosaic: Any) -> None:
    """Write a group with the mosaic in shards and a small overview."""
    shutil.rmtree(path, ignore_errors=True)
    group = tegula.create_group(path, attributes={"title": "Hubble deep field", "credit": CREDIT})
    sci = group.create_group("sci")
    sci.create_array(
        "image", data=mosaic, chunks=(1, 128, 128), shards=(1, 1024, 1024), dimension_names=["band", "y", "x"],
        attributes={"bands": ["red", "green", "blue"], "unit": "relative flux"}, progress=True,
    )  # fmt: skip
    small = overview(mosaic)
    sci.create_array("overview", data=small, chunks=small.shape, dimension_names=["y", "x"])


def write_asdf(path: Path, mosaic: Any, screen: Screen) -> None:
    """Write an ASDF file with the mosaic as a Zarr array in blocks and the overview as an ndarray."""
    with screen.working("writing blocks"):
        image = chunked(mosaic, chunks=(1, 256, 256))
        meta = {"title": "Hubble deep field", "credit": CREDIT, "bands": ["red", "green", "blue"]}
        sci = {"image": image, "overview": overview(mosaic)}
        tegula.AsdfFile({"meta": meta, "sci": sci}).write_to(path)


def overview(mosaic: Any) -> Any:
    """Return every eighth pixel of the mean of the bands, as uint16."""
    return np.rint(mosaic[:, ::8, ::8].mean(axis=0) * 65535).astype(np.uint16)


def cut_out(name: str, where: tuple[Any, ...], screen: Screen) -> Any:
    """Cut a region out of an array and print what the read took."""
    with source.opened(name) as array:
        plan = cutout.explain(array, where)
        start = time.perf_counter()
        cut = array[where]
        milliseconds = (time.perf_counter() - start) * 1000
        screen.line((name, NAME), f"  {region.written(where)}")
        facts = [("read", cutout.summary(plan, array))] if plan else []
        screen.pairs([*facts, ("time", f"{milliseconds:.1f} ms")])
        return np.asarray(cut)


def header(screen: Screen, text: str, path: Path | None) -> None:
    """Print a headline."""
    screen.line()
    screen.line((text, "bold"), *([(f"  {path}", LABEL)] if path else []))


def timed(work: Callable[[], None]) -> float:
    """Return how many seconds a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def wrote(screen: Screen, mosaic: Any, path: Path, seconds: float) -> None:
    """Print what was written."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    total = sum(file.stat().st_size for file in files)
    stored = f"{byte_size(total)} in {count(len(files), 'file')}"
    screen.line(f"{byte_size(mosaic.nbytes)} written in {seconds:.1f} s: {stored}")


def show(source_name: str, screen: Screen) -> None:
    """Print the tree of a file, as `tegula info` does."""
    info.run(argparse.Namespace(source=source_name, depth=None, json=False), screen)


def commands(names: list[str], folder: Path, where: tuple[Any, ...]) -> list[str]:
    """Return commands for the user to try."""
    one_band = region.written((0, *where[1:]))
    first, last = shlex.quote(names[0]), shlex.quote(names[-1])
    red, whole = shlex.quote(str(folder / "red.png")), shlex.quote(str(folder / "whole.png"))
    script = f"import tegula; print(tegula.open_array({names[0]!r}).explain((0, 100, slice(0, 50))))"
    return [
        f"tegula info {first}",
        f"tegula cutout {first} {one_band} -o {red} --stretch asinh --explain",
        f"tegula cutout {last} ...,::16,::16 -o {whole} --stretch asinh",
        f'python -c "{script}"',
    ]
