"""Every codec of the package on its way into an ASDF file: the array keeps it, in Zarr V2 or V3."""

import io

import numpy as np
import pytest

import tegula
import tegula.asdf
from tegula import _tegula

SHAPE = (20, 24)
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}


def named(name, **configuration):
    return {"name": name, "configuration": configuration} if configuration else name


# Data type and codec chain of Zarr V3.
CHAINS = {
    "transpose": ("<i4", [named("transpose", order=[1, 0]), BYTES]),
    "reshape": ("<i4", [named("reshape", shape=[[0, 1]]), BYTES]),
    "scale_offset": ("<i4", [named("scale_offset", offset=1, scale=2), BYTES]),
    "cast_value": ("<i4", [named("cast_value", data_type="int64"), BYTES]),
    "bitround": ("<f4", [named("bitround", keepbits=20), BYTES]),
    "numcodecs.delta": ("<i4", [named("numcodecs.delta", dtype="<i4"), BYTES]),
    "numcodecs.fixedscaleoffset": (
        "<i4",
        [named("numcodecs.fixedscaleoffset", offset=0, scale=1, dtype="<i4", astype="<i8"), BYTES],
    ),
    "numcodecs.quantize": ("<f4", [named("numcodecs.quantize", digits=3, dtype="<f4"), BYTES]),
    "numcodecs.astype": ("<i4", [named("numcodecs.astype", encode_dtype="<i8", decode_dtype="<i4"), BYTES]),
    "bytes": ("<i4", [named("bytes", endian="big")]),
    "packbits": ("?", ["packbits"]),
    "numcodecs.packbits": ("?", ["numcodecs.packbits", "bytes"]),
    "vlen-utf8": ("string", ["vlen-utf8", ZSTD]),
    "vlen-bytes": ("bytes", ["vlen-bytes", ZSTD]),
    "pcodec": ("<i4", ["pcodec"]),
    "zfp": ("<f4", [named("zfp", mode="reversible")]),
    "shuffle": ("<i4", [BYTES, named("shuffle", elementsize=4)]),
    "zstd": ("<i4", [BYTES, ZSTD]),
    "gzip": ("<i4", [BYTES, named("gzip", level=1)]),
    "blosc": (
        "<i4",
        [BYTES, named("blosc", cname="lz4", clevel=5, shuffle="shuffle", typesize=4, blocksize=0)],
    ),
    **{
        name: ("<i4", [BYTES, f"numcodecs.{name}"])
        for name in ("zlib", "lz4", "bz2", "lzma", "crc32", "adler32", "fletcher32", "jenkins_lookup3")
    },
    "base64": ("<i4", [BYTES, "base64"]),
    "crc32c": ("<i4", [BYTES, "crc32c"]),
}
# Codecs of containers, of objects of V2, and those under two names.
OTHERS = {"sharding_indexed", "vlen-array", "categorize", "json2", "msgpack2", "pickle", "zfpy", "conditional"}

# Data type and filters of Zarr V2, and compressors.
FILTERS = {
    "delta": ("<i4", {"id": "delta", "dtype": "<i4"}),
    "fixedscaleoffset": ("<i4", {"id": "fixedscaleoffset", "offset": 0, "scale": 1, "dtype": "<i4", "astype": "<i8"}),
    "astype": ("<i4", {"id": "astype", "encode_dtype": "<i8", "decode_dtype": "<i4"}),
    "shuffle": ("<i4", {"id": "shuffle", "elementsize": 4}),
    "zfpy": ("<f4", {"id": "zfpy", "mode": 5}),
    "pcodec": ("<i4", {"id": "pcodec"}),
    "packbits": ("?", {"id": "packbits"}),
    "quantize": ("<f4", {"id": "quantize", "digits": 3, "dtype": "<f4"}),
    "bitround": ("<f4", {"id": "bitround", "keepbits": 20}),
}
COMPRESSORS = ("lzma", "lz4", "bz2", "zlib", "gzip", "zstd", "blosc", "crc32", "adler32", "fletcher32", "base64")


def elements(dtype):
    numbers = np.arange(480).reshape(SHAPE) // 7
    if dtype == "string":
        return numbers.astype(str).astype(object)
    if dtype == "bytes":
        return np.array([[str(number).encode() for number in row] for row in numbers], object)
    return numbers.astype(dtype)


def through_asdf(array, **options):
    buffer = io.BytesIO()
    tegula.AsdfFile({"x": array}).write_to(buffer, **options)
    found = tegula.open_asdf(buffer.getvalue())["x"]
    np.testing.assert_array_equal(found[...], array[...])
    return found, len(buffer.getvalue())


def codecs_of(array, *, inner: bool = False) -> list[str]:
    codecs = array.codecs
    if inner and codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    names = [codec if isinstance(codec, str) else codec["name"] for codec in codecs]
    # Zarr V2 has the byte order in the data type.
    return sorted(name.removeprefix("numcodecs.") for name in names if name != "bytes")


def test_all_codecs_are_here():
    assert {name.removeprefix("numcodecs.") for name in CHAINS} | OTHERS >= {
        name.removeprefix("numcodecs.") for name in _tegula.codec_names()
    }


@pytest.mark.parametrize("keep_zarr_v3", [False, True])
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_codecs_of_v3(name, sharded, keep_zarr_v3):
    dtype, codecs = CHAINS[name]
    if sharded:
        index = [BYTES, "crc32c"]
        shard = {"chunk_shape": [5, 6], "codecs": codecs, "index_codecs": index}
        codecs = [{"name": "sharding_indexed", "configuration": shard}]
    array = tegula.create_array({}, shape=SHAPE, dtype=dtype, chunks=(10, 12), codecs=codecs)
    array[...] = elements(dtype)
    found, _ = through_asdf(array, keep_zarr_v3=keep_zarr_v3)
    assert found.zarr_format == 3 or not keep_zarr_v3
    assert codecs_of(found, inner=True) == codecs_of(array, inner=True)


@pytest.mark.parametrize("name", [*FILTERS, *COMPRESSORS])
def test_codecs_of_v2(name):
    dtype, codec = FILTERS.get(name, ("<i4", {"id": name}))
    options = {"filters": [codec]} if name in FILTERS else {"compressors": codec}
    array = tegula.create_array({}, shape=SHAPE, dtype=dtype, chunks=(10, 12), zarr_format=2, **options)
    array[...] = elements(dtype)
    found, _ = through_asdf(array)
    assert found.zarr_format == 2
    assert codecs_of(found) == codecs_of(array)


def test_compressed_arrays_stay_small():
    array = tegula.create_array({}, shape=(500, 500), dtype="i4", chunks=(250, 250), compressors="lzma")
    array[...] = 3
    assert through_asdf(array)[1] < 20_000


def test_names_of_some_dimensions_are_kept():
    for names in (("y", "x"), ("y", None)):
        array = tegula.create_array({}, data=elements("i4"), dimension_names=names)
        found, _ = through_asdf(array)
        if names[1] is None:
            assert found.dimension_names == names
        else:
            assert found.attrs["_ARRAY_DIMENSIONS"] == ["y", "x"]


def test_vast_grids_are_refused():
    array = tegula.create_array({}, shape=(2**40, 2**20), dtype="u1", chunks=(1, 1))
    with pytest.raises(tegula.UnsupportedError, match="rechunk"):
        through_asdf(array)
