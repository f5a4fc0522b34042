"""Makes tests/data with other implementations: `python tests/make_fixtures.py [PEER...]`.

Each peer gets its own virtual environment with the packages in PEERS and runs this script again inside it. The peer's
files are in tests/data/PEER, with the expected arrays:

    CASE.zarr  CASE.npy                    an array at the root of a store
    CASE.zarr  CASE@GROUP+ARRAY.npy        an array below the root
    CASE.asdf  CASE@KEY+KEY.npy            an array in a tree; its mask is in CASE@KEY.mask.npy
    CASE.json                              attributes, by path

The expected arrays are those that were given to the peer; they are never read back. A second run writes the same files,
except for the timestamps in numcodecs' gzip streams.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"

PEERS = {
    "zarr3": ["zarr==3.1.6", "numcodecs==0.16.6", "numpy==2.4.6"],
    "zarr2": ["zarr==2.18.7", "numcodecs==0.15.1", "numpy==2.4.6"],
    "zarrs": ["zarrs==0.2.3", "zarr==3.1.6", "numcodecs==0.16.6", "numpy==2.4.6"],
    "tensorstore": ["tensorstore==0.1.86", "numpy==2.4.6"],
    "asdf": ["asdf==6.0.0", "numpy==2.4.6"],
    "asdf_zarr": ["asdf-zarr==0.0.4", "asdf==6.0.0", "zarr==2.18.7", "numcodecs==0.15.1", "numpy==2.4.6"],
}

INTEGERS = [f"{sign}{bytes_}" for sign in "iu" for bytes_ in (1, 2, 4, 8)]
NUMBERS = ["b1", *INTEGERS, "f2", "f4", "f8", "c8", "c16"]


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    """Return values that use all bytes of an element and compress a little."""
    import numpy as np

    rng = np.random.default_rng([seed, *dtype.encode(), *shape])
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.random(shape) < 0.4
    if kind in "iu":
        info = np.iinfo(dtype)
        wide = rng.integers(info.min, info.max, shape, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True)
        return np.where(rng.random(shape) < 0.5, wide, 3).astype(dtype)
    a = np.round(rng.normal(size=shape) * 100, 1)
    if kind == "f":
        a[rng.random(shape) < 0.05] = np.nan
        a[rng.random(shape) < 0.05] = -np.inf
    else:
        a = a + 1j * np.round(rng.normal(size=shape), 2)
    return np.asarray(a).astype(dtype)


def holes(a: Any, chunks: tuple[int, ...], fill: Any) -> Any:
    """Return the array with every third chunk set to the fill value."""
    import numpy as np

    a = a.copy()
    grid = [-(-n // c) for n, c in zip(a.shape, chunks, strict=True)]
    for n, index in enumerate(np.ndindex(*grid)):
        if n % 3 == 1:
            a[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))] = fill
    return a


def expect(out: Path, case: str, a: Any, node: str = "") -> None:
    import numpy as np

    name = case + ("@" + node.strip("/").replace("/", "+") if node else "")
    np.save(out / f"{name}.npy", np.asarray(a), allow_pickle=False)


def write_zarr_python(out: Path, case: str, a: Any, **options: Any) -> None:
    """Write an array with zarr-python 3, or with zarrs if that is its codec pipeline."""
    import zarr

    options = {"chunks": (4, 3)[: a.ndim], "fill_value": 0, **options}
    z = zarr.create_array(zarr.storage.LocalStore(out / f"{case}.zarr"), shape=a.shape, dtype=a.dtype, **options)
    z[...] = a
    expect(out, case, a)


def zarr3(out: Path) -> None:
    import numcodecs
    import numpy as np
    import zarr
    from zarr.codecs import (
        BloscCodec,
        BytesCodec,
        Crc32cCodec,
        GzipCodec,
        ShardingCodec,
        TransposeCodec,
        ZstdCodec,
    )  # fmt: skip

    def write(case: str, a: Any, **options: Any) -> None:
        write_zarr_python(out, case, a, **options)

    for dtype in NUMBERS:
        write(f"v3-{dtype}", values((7, 5), dtype))
        write(f"v2-{dtype}", values((7, 5), dtype), zarr_format=2)

    # Codecs of V3.
    a = values((7, 5), "i4")
    for cname in ("lz4", "lz4hc", "blosclz", "zlib", "zstd"):
        for shuffle in ("noshuffle", "shuffle", "bitshuffle"):
            codec = BloscCodec(cname=cname, clevel=5, shuffle=shuffle, typesize=4)
            write(f"v3-blosc-{cname}-{shuffle}", a, compressors=[codec])
    write("v3-raw", a, compressors=None)
    write("v3-raw-big", a, compressors=None, serializer=BytesCodec(endian="big"))
    write("v3-gzip", a, compressors=[GzipCodec(level=6)])
    write("v3-zstd", a, compressors=[ZstdCodec(level=3)])
    write("v3-zstd-checksum", a, compressors=[ZstdCodec(level=3, checksum=True)])
    write("v3-crc32c", a, compressors=[Crc32cCodec()])
    write("v3-gzip-crc32c", a, compressors=[GzipCodec(level=1), Crc32cCodec()])
    write("v3-transpose", a, filters=[TransposeCodec(order=(1, 0))], compressors=None)
    cube = values((5, 6, 7), "f4")
    twice = [TransposeCodec(order=(2, 0, 1)), TransposeCodec(order=(1, 0, 2))]
    write("v3-transpose-twice", cube, chunks=(2, 3, 4), filters=twice, compressors=[ZstdCodec()])

    # Shards.
    big = values((21, 18), "u2")
    plane = {"chunks": (3, 4), "shards": (9, 8)}
    write("v3-shard", big, **plane)
    write("v3-shard-raw", big, compressors=None, **plane)
    write("v3-shard-holes", holes(big, (3, 4), 7), fill_value=7, **plane)
    write("v3-shard-missing", holes(big, (9, 8), 7), fill_value=7, **plane)
    for location in ("start", "end"):
        for index in ([BytesCodec()], [BytesCodec(endian="big"), Crc32cCodec()]):
            name = f"v3-shard-{location}-{'crc' if len(index) > 1 else 'no-crc'}"
            codec = ShardingCodec(
                chunk_shape=(3, 4), codecs=[BytesCodec(), ZstdCodec()], index_codecs=index, index_location=location
            )
            write(name, holes(big, (3, 4), 0), chunks=(9, 8), serializer=codec, compressors=None)
    inner = ShardingCodec(chunk_shape=(3, 4), codecs=[BytesCodec(), GzipCodec(level=1)])
    nested = ShardingCodec(chunk_shape=(6, 8), codecs=[inner, Crc32cCodec()])
    write("v3-shard-nested", holes(big, (3, 4), 0), chunks=(12, 16), serializer=nested, compressors=None)
    turned = ShardingCodec(chunk_shape=(3, 4), codecs=[TransposeCodec(order=(1, 0)), BytesCodec(endian="big")])
    write("v3-shard-transpose", big, chunks=(9, 8), serializer=turned, compressors=None)
    write("v3-shard-gzip-around", big, chunks=(9, 8), serializer=inner_of((3, 4)), compressors=[GzipCodec()])

    # Fill values and missing chunks.
    fills = {"f4": [np.nan, np.inf, -np.inf, -0.0, 1.5], "i2": [-5], "u8": [2**64 - 1], "b1": [True], "c8": [1 - 2j]}
    for dtype, some in fills.items():
        for n, fill in enumerate(some):
            a = holes(values((7, 5), dtype), (4, 3), fill)
            write(f"v3-fill-{dtype}-{n}", a, fill_value=fill)
            write(f"v2-fill-{dtype}-{n}", a, fill_value=fill, zarr_format=2)
    write("v2-fill-null", holes(values((7, 5), "i4"), (4, 3), 0), fill_value=None, zarr_format=2)

    # Shapes and names of chunks.
    for format_ in (2, 3):
        write(f"v{format_}-0d", np.array(5, "i4"), chunks=(), zarr_format=format_)
        write(f"v{format_}-empty", np.zeros((0, 4), "f8"), chunks=(2, 3), zarr_format=format_)
        write(f"v{format_}-1d", values((17,), "i8"), chunks=(5,), zarr_format=format_)
        write(f"v{format_}-5d", values((3, 4, 2, 3, 2), "i2"), chunks=(2, 2, 2, 1, 2), zarr_format=format_)
    a = values((7, 5), "i2")
    for name in ("default", "v2"):
        for separator in "./":
            case = f"v3-keys-{name}-{'dot' if separator == '.' else 'slash'}"
            write(case, a, chunk_key_encoding={"name": name, "separator": separator})
    slash = {"name": "v2", "separator": "/"}
    write("v2-keys-slash", a, zarr_format=2, chunk_key_encoding=slash)

    # V2 only.
    for order in "CF":
        write(f"v2-order-{order}", cube, chunks=(2, 3, 4), order=order, zarr_format=2)
    for dtype in (">i2", ">u4", ">f8", ">c8"):
        write(f"v2-big-{dtype[1:]}", values((7, 5), dtype), zarr_format=2)
    compressors = {
        "none": None, "zlib": numcodecs.Zlib(3), "gzip": numcodecs.GZip(3), "zstd": numcodecs.Zstd(3),
        "bz2": numcodecs.BZ2(3), "lz4": numcodecs.LZ4(),
        "blosc": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.AUTOSHUFFLE),
    }  # fmt: skip
    for name, codec in compressors.items():
        write(f"v2-{name}", values((7, 5), "i4"), compressors=codec, zarr_format=2)

    for format_ in (2, 3):
        case = f"v{format_}-group"
        root = zarr.create_group(zarr.storage.LocalStore(out / f"{case}.zarr"), zarr_format=format_)
        groups(out, case, root, lambda g, name, a: g.create_array(name, data=a, chunks=(3,)))
        if format_ == 3:
            options = {"dimension_names": ("y", None), "attributes": {"unit": "Jy"}}
            write("v3-dimension-names", values((7, 5), "i2"), **options)


def inner_of(shape: tuple[int, ...]) -> Any:
    from zarr.codecs import BytesCodec, ShardingCodec

    return ShardingCodec(chunk_shape=shape, codecs=[BytesCodec()])


def groups(out: Path, case: str, root: Any, create: Callable[[Any, str, Any], Any]) -> None:
    attributes: dict[str, dict[str, Any]] = {
        "": {"title": "Größe 📏", "nested": {"list": [1, 2.5, None, True]}},
        "science/image": {"unit": "Jy", "scale": [1e-300, 1e300]},
    }
    root.attrs.update(attributes[""])
    science = root.create_group("science")
    for group, name in ((science, "image"), (science, "mask"), (root, "weights")):
        path = f"{group.name.strip('/')}/{name}".strip("/")
        a = values((7,), "b1" if name == "mask" else "f4", seed=len(path))
        z = create(group, name, a)
        z.attrs.update(attributes.get(path, {}))
        expect(out, case, a, path)
    (out / f"{case}.json").write_text(json.dumps(attributes, indent=1))


def zarrs(out: Path) -> None:
    import zarr
    import zarrs as _  # noqa: F401
    from zarr.codecs import BloscCodec, GzipCodec

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    big = values((21, 18), "f4")
    write_zarr_python(out, "v3-shard", big, chunks=(3, 4), shards=(9, 8))
    write_zarr_python(out, "v3-shard-holes", holes(big, (3, 4), 0), chunks=(3, 4), shards=(9, 8))
    write_zarr_python(out, "v3-shard-gzip", big, chunks=(3, 4), shards=(9, 8), compressors=[GzipCodec(level=5)])
    write_zarr_python(out, "v3-blosc", big, compressors=[BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=4)])
    write_zarr_python(out, "v3-edges", values((7, 5, 3), "i8"), chunks=(4, 4, 2))


def zarr2(out: Path) -> None:
    import numcodecs
    import numpy as np
    import zarr

    def write(case: str, a: Any, **options: Any) -> None:
        options = {"chunks": (4, 3)[: a.ndim], "fill_value": 0, **options}
        z = zarr.open(zarr.DirectoryStore(out / f"{case}.zarr"), mode="w", shape=a.shape, dtype=a.dtype, **options)
        z[...] = a
        expect(out, case, a)

    for dtype in NUMBERS:
        write(f"v2-{dtype}", values((7, 5), dtype))
        if np.dtype(dtype).itemsize > 1:
            write(f"v2-big-{dtype}", values((7, 5), f">{dtype}"))
    cube = values((5, 6, 7), "f4")
    for order in "CF":
        for name, codec in {
            "none": None, "zlib": numcodecs.Zlib(1), "gzip": numcodecs.GZip(1), "zstd": numcodecs.Zstd(1),
            "bz2": numcodecs.BZ2(1), "lz4": numcodecs.LZ4(),
            "blosc": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE),
            "blosc-bit": numcodecs.Blosc("zstd", 5, numcodecs.Blosc.BITSHUFFLE),
        }.items():  # fmt: skip
            write(f"v2-{name}-{order}", cube, chunks=(2, 3, 4), compressor=codec, order=order)
    for n, fill in enumerate((np.nan, np.inf, -np.inf, 2.5)):
        a = holes(values((7, 5), "f8"), (4, 3), fill)
        write(f"v2-fill-{n}", a, fill_value=fill, write_empty_chunks=False)
    write("v2-fill-null", values((7, 10), "i4"), fill_value=None)
    write("v2-slash", values((7, 5), "i2"), dimension_separator="/")
    write("v2-0d", np.array(5.5), chunks=())
    write("v2-one-chunk", values((7, 5), "u4"), chunks=False)

    store = zarr.DirectoryStore(out / "v2-consolidated.zarr")
    root = zarr.group(store, overwrite=True)
    groups(out, "v2-consolidated", root, lambda g, name, a: g.array(name, a, chunks=(3,)))
    zarr.consolidate_metadata(store)


def tensorstore(out: Path) -> None:
    import tensorstore as ts

    def write(case: str, a: Any, driver: str, metadata: dict[str, Any]) -> None:
        kvstore = {"driver": "file", "path": str(out / f"{case}.zarr") + "/"}
        spec = {"driver": driver, "kvstore": kvstore, "metadata": {"shape": list(a.shape), **metadata}}
        ts.open(spec, create=True, dtype=ts.dtype(a.dtype.newbyteorder("="))).result().write(a).result()
        expect(out, case, a)

    def grid(*shape: int) -> dict[str, Any]:
        return {"name": "regular", "configuration": {"chunk_shape": shape}}

    def shard(shape: list[int], codecs: list[Any], **options: Any) -> dict[str, Any]:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        configuration = {"chunk_shape": shape, "codecs": codecs, "index_codecs": index, **options}
        return {"name": "sharding_indexed", "configuration": configuration}

    little = {"name": "bytes", "configuration": {"endian": "little"}}
    zstd = {"name": "zstd", "configuration": {"level": 3}}
    big = values((21, 18), "i4")

    def v3(case: str, a: Any, chunks: tuple[int, ...], codecs: list[Any], **more: Any) -> None:
        name = {"f": "float", "i": "int", "u": "uint"}[a.dtype.kind] + str(a.dtype.itemsize * 8)
        metadata = {"data_type": name, "chunk_grid": grid(*chunks), "codecs": codecs, **more}
        write(case, a, "zarr3", metadata)

    v3("v3-plain", big, (4, 5), [little, zstd])
    v3("v3-big", values((7, 5), "f8"), (3, 4), [{"name": "bytes", "configuration": {"endian": "big"}}])
    blosc = {"cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}
    v3("v3-blosc", big, (4, 5), [little, {"name": "blosc", "configuration": blosc}])
    transpose = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}
    v3(
        "v3-transpose",
        values((5, 6, 7), "u2"),
        (2, 3, 4),
        [transpose, little, {"name": "gzip", "configuration": {"level": 6}}],
    )
    for location in ("start", "end"):
        v3(f"v3-shard-{location}", big, (9, 8), [shard([3, 4], [little, zstd], index_location=location)])
    v3("v3-shard-nested", holes(big, (3, 4), 0), (12, 16), [shard([6, 8], [shard([3, 4], [little, zstd])])])
    v3("v3-keys-v2", values((7, 5), "u1"), (3, 4), [little], chunk_key_encoding={"name": "v2"})

    def v2(case: str, a: Any, chunks: tuple[int, ...], **more: Any) -> None:
        metadata = {"dtype": a.dtype.str, "chunks": chunks, "compressor": None, **more}
        write(case, a, "zarr", metadata)

    v2("v2-order-F", values((5, 6, 7), "<f4"), (2, 3, 4), order="F", compressor={"id": "zlib", "level": 3})
    v2("v2-big", values((7, 5), ">i2"), (3, 4), compressor={"id": "bz2", "level": 3})
    v2("v2-slash", values((7, 5), "<u4"), (3, 4), dimension_separator="/", compressor={"id": "zstd", "level": 3})


def asdf(out: Path) -> None:
    import asdf as library
    import numpy as np

    def write(case: str, tree: dict[str, Any], **options: Any) -> None:
        library.AsdfFile(tree).write_to(out / f"{case}.asdf", **options)
        flat(case, tree, "")

    def flat(case: str, tree: Any, path: str) -> None:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            where = f"{path}/{key}".strip("/")
            if isinstance(value, np.ma.MaskedArray):
                mask = np.ma.getmaskarray(value)
                expect(out, case, np.where(mask, np.zeros((), value.dtype), value.data), where)
                expect(out, case, mask, f"{where}.mask")
            elif isinstance(value, np.ndarray):
                expect(out, case, value, where)
            elif isinstance(value, (dict, list)):
                flat(case, value, where)

    numbers = {dtype: values((7, 5), dtype) for dtype in NUMBERS}
    write("blocks", numbers)
    write("big-endian", {dtype: values((7, 5), f">{dtype}") for dtype in ("i2", "u4", "f4", "f8", "c16")})
    write("inline", {k: v for k, v in numbers.items() if k in ("b1", "i4", "f8")}, all_array_storage="inline")
    for compression in ("zlib", "bzp2"):
        write(
            f"block-{compression}",
            {"a": values((30, 20), "i2"), "b": [values((7,), "f4")]},
            all_array_compression=compression,
        )
    base = np.arange(120, dtype="i4").reshape(10, 12)
    write(
        "strides",
        {"base": base, "cut": base[2:7, 3:9], "step": base[::3, ::-2], "turned": base.T, "column": base[:, 1]},
    )
    records = np.zeros(5, [("x", "<i2"), ("y", ">f4"), ("name", "S4")])
    records["x"], records["y"], records["name"] = range(5), 1.5, [b"a", b"bc", b"", b"defg", b"h"]
    write("structured", {"records": records})
    write("masked", {"masked": np.ma.masked_greater(values((6, 4), "i4"), 3)})
    write("text", {"ascii": np.array([b"ab", b"", b"cde"]), "ucs4": np.array(["äö", "", "日本語"])})
    write("shapes", {"zero": np.array(5.5), "empty": np.zeros((0, 3), "f4"), "cube": values((3, 4, 5), "u1")})
    write(
        "nested",
        {"roman": {"data": values((8, 8), "f4"), "meta": {"name": "x", "list": [1, {"deep": values((3,), "i8")}]}}},
    )
    write("no-index", {"a": values((7, 5), "f4")}, include_block_index=False)
    write("padded", {"a": values((7, 5), "f4"), "b": values((4,), "i2")}, pad_blocks=True)
    write("exploded", {"a": values((6, 5), "f4")}, all_array_storage="external")

    rows = values((9, 5), "f8")
    tree = {"small": values((3,), "i2"), "rows": library.tags.core.Stream([5], np.float64)}
    with (out / "stream.asdf").open("wb") as file:
        library.AsdfFile(tree).write_to(file)
        file.write(rows.tobytes())
    expect(out, "stream", tree["small"], "small")
    expect(out, "stream", rows, "rows")


def asdf_zarr(out: Path) -> None:
    import asdf as library
    import numcodecs
    import numpy as np
    import zarr

    def make(a: Any, chunks: tuple[int, ...], **options: Any) -> Any:
        options = {"write_empty_chunks": False, **options}
        z = zarr.create(a.shape, chunks=chunks, dtype=a.dtype, store=zarr.MemoryStore(), **options)
        z[...] = a
        return z

    def write(case: str, arrays: dict[str, tuple[Any, Any]]) -> None:
        library.AsdfFile({k: z for k, (_, z) in arrays.items()}).write_to(out / f"{case}.asdf")
        for key, (a, _) in arrays.items():
            expect(out, case, a, key)

    def pair(a: Any, chunks: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
        return a, make(a, chunks, **options)

    a = values((20, 17), "f4")
    write("plain", {"data": pair(a, (8, 8), fill_value=0)})
    write("holes", {"data": pair(holes(a, (8, 8), np.nan), (8, 8), fill_value=np.nan)})
    write("all-fill", {"data": pair(np.full((9, 9), 7, "i2"), (4, 4), fill_value=7)})
    several = {
        "sci": pair(values((20, 17), "<i2"), (8, 8), compressor=numcodecs.Zstd(3)),
        "array": (a, a),
        "dq": pair(values((20, 17), "<u4"), (8, 8), compressor=None, order="F"),
        "big": pair(values((7, 5), ">f8"), (3, 4), compressor=numcodecs.Zlib(3)),
    }
    write("several", several)


def build(peer: str, packages: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        subprocess.run([python, __file__, "--write", peer], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"{', '.join(PEERS)}; all if none is named")
    parser.add_argument("--write", metavar="PEER", help="write the data of a peer that this Python has")
    arguments = parser.parse_args()
    if arguments.write:
        out = DATA / arguments.write
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        globals()[arguments.write](out)
    for peer in arguments.peers or (PEERS if not arguments.write else ()):
        build(peer, PEERS[peer])


if __name__ == "__main__":
    sys.exit(main())
