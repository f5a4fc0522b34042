"""Random arrays that others write: zarr-python, its pipeline of zarrs, and tensorstore. We read what they hold."""

import itertools
import json
import math
import subprocess
import sys

import hypothesis
import ml_dtypes
import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given
from hypothesis import strategies as st

import tegula

STRING = np.dtypes.StringDType()
NUMBERS = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
]
NUMBERS += ["complex64", "complex128"]
OTHERS = ["M8[ns]", "m8[25us]", "M8[D]", "U5", "S3", "S1", "V7"]
SMALL = [
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3b11fnuz",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "int4",
    "int2",
]
BLOSC = ["lz4", "lz4hc", "zstd", "zlib", "blosclz"]
SHUFFLES = ["noshuffle", "shuffle", "bitshuffle"]

NUMBER = itertools.count()


def content(random: np.random.Generator, shape, dtype: np.dtype) -> np.ndarray:
    """Elements of all kinds: any bits where any are a value."""
    count = math.prod(shape)
    if dtype.kind == "T":
        words = ["", "a", "né", "\N{SNOWMAN}" * 3, "x" * 40, "null\0inside"]
        return np.array([words[k] for k in random.integers(0, len(words), count)], STRING).reshape(shape)
    if dtype.kind == "U":
        letters = random.choice([0, 65, 233, 0x2603], (count, dtype.itemsize // 4)).astype(
            dtype.byteorder + "u4" if dtype.byteorder in "<>" else "u4"
        )
        return letters.view(dtype).reshape(shape)
    if dtype.kind == "b" or dtype.name in ("int2", "int4"):
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.fields:
        elements = np.empty(shape, dtype)
        for name, (field, *_) in dtype.fields.items():
            elements[name] = content(random, (*shape, *field.shape), field.base)
        return elements
    raw = random.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    raw[random.random(raw.size) < 0.5] = 0
    return raw.view(dtype).reshape(shape) if count else np.empty(shape, dtype)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """The same, bit by bit; byte order does not count."""
    assert found.shape == expected.shape
    if expected.dtype.fields:
        assert found.dtype.names == expected.dtype.names
        for name in expected.dtype.names:
            same(found[name], expected[name])
        return
    if expected.dtype.kind in "TO":
        assert found.tolist() == expected.tolist()
        return
    native = expected.dtype.newbyteorder("=")
    assert found.dtype.newbyteorder("=") == native
    assert found.astype(native).tobytes() == expected.astype(native).tobytes()


@st.composite
def geometries(draw):
    """A shape, a shape of chunks and one of shards."""
    shape = tuple(draw(st.lists(st.integers(1, 9), max_size=3)))
    chunks = tuple(draw(st.integers(1, length + 2)) for length in shape)
    shards = tuple(length * draw(st.integers(1, 3)) for length in chunks) if shape and draw(st.booleans()) else None
    return shape, chunks, shards


@st.composite
def selections(draw, shape):
    def axis(length):
        start, stop = sorted((draw(st.integers(0, length)), draw(st.integers(0, length))))
        return slice(start, stop, draw(st.sampled_from([1, 1, 2, -1])))

    found = tuple(axis(length) for length in shape)
    return tuple(
        slice(s.stop - 1 if s.stop else None, s.start - 1 if s.start else None, -1) if s.step == -1 else s
        for s in found
    )


def check(draw, path, shape, expected) -> None:
    """Whole, and some parts of it: what the writer holds."""
    array = tegula.open_array(path)
    same(np.asarray(array[...], array.dtype), expected)
    for _ in range(2):
        key = draw(selections(shape))
        same(np.asarray(array[key], array.dtype), np.asarray(expected[key], expected.dtype))
    stored = tegula.open_array(path)
    whole = stored.retrieve_array_subset(stored.subset_all())
    same(whole, expected)


@st.composite
def dtypes_of_zarr(draw, zarr_format):
    kind = draw(st.sampled_from(["number", "number", "other", "struct", "string"]))
    if kind == "string":
        return STRING
    if kind == "struct":
        if zarr_format == 3:
            kind = "number"  # zarr-python 3.1 warns of the form it writes, which is not the one of the registry
        else:
            nested = np.dtype([("p", "<i2"), ("q", ">f4")])
            fields = [
                ("a", draw(st.sampled_from(["<f4", ">u2", "|u1"]))),
                ("b", "S3"),
                ("c", nested),
                ("d", "<i4"),
            ]
            return np.dtype(fields[: draw(st.integers(1, 4))])
    name = draw(st.sampled_from(NUMBERS if kind == "number" else OTHERS))
    return np.dtype(name).newbyteorder(draw(st.sampled_from("<>")))


def compressors_v3(draw):
    choices = [
        (),
        (zarr.codecs.ZstdCodec(level=1, checksum=draw(st.booleans())),),
        (zarr.codecs.GzipCodec(level=1), zarr.codecs.Crc32cCodec()),
        (zarr.codecs.BloscCodec(cname=draw(st.sampled_from(BLOSC)), shuffle=draw(st.sampled_from(SHUFFLES))),),
        (zarr.codecs.Crc32cCodec(),),
    ]
    return draw(st.sampled_from(choices))


def write_v3(draw, random, path):
    shape, chunks, shards = draw(geometries())
    dtype = draw(dtypes_of_zarr(3))
    arguments = {}
    if len(shape) > 1 and draw(st.booleans()):
        arguments["filters"] = [zarr.codecs.TransposeCodec(order=draw(st.permutations(range(len(shape)))))]
    if dtype.kind not in "TUSV" and draw(st.booleans()):
        arguments["serializer"] = zarr.codecs.BytesCodec(endian=draw(st.sampled_from(["little", "big"])))
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=dtype if dtype.kind == "T" else dtype.newbyteorder("<"),
        compressors=compressors_v3(draw),
        chunk_key_encoding={"name": draw(st.sampled_from(["default", "v2"])), "separator": draw(st.sampled_from("/."))},
        zarr_format=3,
        **arguments,
    )
    fill(draw, random, array)
    return array


def write_v2(draw, random, path):
    shape, chunks, _ = draw(geometries())
    dtype = draw(dtypes_of_zarr(2))
    filters = "auto"  # for strings it must be theirs
    if dtype.kind in "iu" and draw(st.booleans()):
        filters = [numcodecs.Delta(dtype=dtype.str)]
    elif dtype.kind == "f" and dtype.itemsize > 2 and draw(st.booleans()):
        filters = draw(
            st.sampled_from([[numcodecs.Shuffle(dtype.itemsize)], [numcodecs.Adler32()], [numcodecs.CRC32()]])
        )
    compressors = [
        None,
        numcodecs.Zstd(level=1),
        numcodecs.Zlib(level=1),
        numcodecs.GZip(level=1),
        numcodecs.BZ2(level=1),
        numcodecs.LZMA(preset=0),
        numcodecs.LZ4(),
        numcodecs.Blosc(cname=draw(st.sampled_from(BLOSC)), shuffle=draw(st.integers(-1, 2))),
    ]
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        filters=filters,
        compressors=draw(st.sampled_from(compressors)),
        order=draw(st.sampled_from("CF")),
        chunk_key_encoding={"name": "v2", "separator": draw(st.sampled_from("/."))},
        zarr_format=2,
    )
    fill(draw, random, array)
    return array


def fill(draw, random, array) -> None:
    """All elements, or those of a corner: other chunks are not stored."""
    dtype = np.dtype(array.dtype)
    key = tuple(slice(draw(st.integers(1, length))) if draw(st.booleans()) else slice(None) for length in array.shape)
    shape = tuple(len(range(*part.indices(length))) for part, length in zip(key, array.shape, strict=True))
    array[key or ...] = content(random, shape, dtype)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("peers")


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
@pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning", "ignore:.*does not have a Zarr V3 specification"
)
@given(data=st.data(), write=st.sampled_from([write_v2, write_v3]), seed=st.integers(0, 1 << 32))
def test_what_zarr_writes(folder, data, write, seed):
    path = folder / str(next(NUMBER))
    array = write(data.draw, np.random.default_rng(seed), path)
    # Of an array without axes it gives a scalar that has forgotten its type.
    check(data.draw, path, array.shape, np.asarray(array[...], array.dtype))


ZARRS = """
import sys, json, numpy as np, zarr, zarrs
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True})
for line in sys.stdin:
    wanted = json.loads(line)
    path, data, codecs = wanted.pop("path"), np.load(wanted.pop("data")), wanted.pop("codecs")
    made = {
        "zstd": zarr.codecs.ZstdCodec(level=1), "gzip": zarr.codecs.GzipCodec(level=1),
        "crc32c": zarr.codecs.Crc32cCodec(),
        "blosc": zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle"),
    }
    order = wanted.pop("order")
    filters = [zarr.codecs.TransposeCodec(order=order)] if order else ()
    codecs = [made[name] for name in codecs]
    array = zarr.create_array(path, dtype=data.dtype, compressors=codecs, filters=filters, **wanted)
    array[...] = data
    np.save(path + ".npy", array[...])
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def zarrs_writer():
    """zarrs takes the place of zarr-python's codecs for good: it has a process of its own."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ZARRS], stdin=pipe, stdout=pipe, text=True) as process:
        yield process


@given(data=st.data(), seed=st.integers(0, 1 << 32))
def test_what_zarrs_writes(folder, zarrs_writer, data, seed):
    path = folder / f"zarrs{next(NUMBER)}"
    shape, chunks, shards = data.draw(geometries())
    dtype = np.dtype(data.draw(st.sampled_from(NUMBERS)))
    elements = content(np.random.default_rng(seed), shape, dtype)
    np.save(f"{path}-data.npy", elements)
    codecs = data.draw(st.sampled_from([[], ["zstd"], ["gzip", "crc32c"], ["blosc"], ["crc32c"]]))
    order = data.draw(st.permutations(range(len(shape)))) if len(shape) > 1 and data.draw(st.booleans()) else None
    wanted = {"path": str(path), "data": f"{path}-data.npy", "codecs": codecs, "order": order}
    wanted |= {"shape": shape, "chunks": chunks, "shards": shards, "fill_value": 0}
    print(json.dumps(wanted), file=zarrs_writer.stdin, flush=True)
    assert zarrs_writer.stdout.readline() == "done\n"
    check(data.draw, path, shape, np.load(f"{path}.npy"))


def codecs_of_tensorstore(draw, dtype, shape):
    """Codecs of a chunk of a shape, inner ones included."""
    found = []
    if len(shape) > 1 and draw(st.booleans()):
        found.append({"name": "transpose", "configuration": {"order": draw(st.permutations(range(len(shape))))}})
        shape = tuple(shape[axis] for axis in found[0]["configuration"]["order"])
    endian = {"configuration": {"endian": draw(st.sampled_from(["little", "big"]))}} if dtype.itemsize > 1 else {}
    plain = [{"name": "bytes", **endian}]
    extra = [
        [],
        [{"name": "zstd", "configuration": {"level": 1}}],
        [{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}],
        [
            {
                "name": "blosc",
                "configuration": {
                    "cname": draw(st.sampled_from(BLOSC)),
                    "clevel": 5,
                    "shuffle": draw(st.sampled_from(SHUFFLES)),
                },
            }
        ],
    ]
    if draw(st.booleans()):
        inner = tuple(
            draw(st.sampled_from([part for part in range(1, length + 1) if length % part == 0])) for length in shape
        )
        sharding = {
            "chunk_shape": inner,
            "codecs": codecs_of_tensorstore(draw, dtype, inner),
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": draw(st.sampled_from(["start", "end"])),
        }
        return [*found, {"name": "sharding_indexed", "configuration": sharding}]
    return found + plain + draw(st.sampled_from(extra))


@given(data=st.data(), seed=st.integers(0, 1 << 32), driver=st.sampled_from(["zarr", "zarr3", "zarr3"]))
def test_what_tensorstore_writes(folder, data, seed, driver):
    draw = data.draw
    path = folder / f"tensorstore{next(NUMBER)}"
    shape, chunks, _ = draw(geometries())
    name = draw(st.sampled_from(NUMBERS + SMALL))
    dtype = np.dtype(getattr(ml_dtypes, name) if name in SMALL else name)
    if driver == "zarr3":
        metadata = {
            "shape": shape,
            "data_type": name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
            "codecs": codecs_of_tensorstore(draw, dtype, chunks),
        }
    else:
        code = name if name in SMALL else dtype.newbyteorder(draw(st.sampled_from("<>"))).str
        compressors = [None, {"id": "zlib", "level": 1}, {"id": "bz2", "level": 1}, {"id": "zstd", "level": 1}]
        compressors.append(
            {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": draw(st.integers(-1, 2)), "blocksize": 0}
        )
        metadata = {
            "shape": shape,
            "dtype": code,
            "chunks": chunks,
            "order": draw(st.sampled_from("CF")) if len(shape) > 1 else "C",
            "fill_value": None,
        }
        metadata["compressor"] = draw(st.sampled_from(compressors))
        hypothesis.assume(not code.startswith("int"))  # it has no V2 name for these
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = tensorstore.open(spec, create=True).result()
    array[...] = content(np.random.default_rng(seed), shape, dtype)
    check(draw, path, shape, np.asarray(array.read().result()))
