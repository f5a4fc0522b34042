import itertools
import shutil

import numpy as np
import pytest
from conftest import content, write_ours

import tegula
from tegula import ArraySubset, ChunkCache, CodecOptions


def padded(sample):
    """Return the elements, padded to whole chunks."""
    array = sample.array
    widths = [
        (0, count * length - size)
        for count, length, size in zip(array.chunk_grid_shape, array.shards or array.chunks, array.shape, strict=True)
    ]
    return np.pad(sample.elements, widths, constant_values=array.fill_value) if widths else sample.elements


def grid(shape):
    return list(itertools.product(*map(range, shape)))


def part(elements, start, shape):
    return elements[tuple(slice(first, first + length) for first, length in zip(start, shape, strict=True))]


def test_properties(sample):
    array, elements = sample.array, sample.elements
    assert array.shape == elements.shape
    assert array.dtype == elements.dtype
    assert (array.ndim, array.size, array.nbytes) == (elements.ndim, elements.size, elements.nbytes)
    assert array.fill_value == 3
    assert type(array.fill_value) is elements.dtype.type
    assert array.is_sharded == (array.shards is not None) == (array.inner_chunk_shape is not None)
    assert array.attrs == {}
    assert array.metadata["shape"] == list(array.shape)
    assert array.dimension_names is None
    assert array.zarr_format == array.metadata["zarr_format"]
    assert array.path == ""
    assert array.name == str(sample.path)
    assert isinstance(array.store, tegula.FilesystemStore)
    assert str(array.dtype) in array.info
    assert array.name in repr(array)
    assert array.codecs[-1]["name"]
    outer = array.shards or array.chunks
    assert array.chunk_grid_shape == tuple(-(-n // c) for n, c in zip(array.shape, outer, strict=True))
    assert array.inner_chunk_grid_shape == tuple(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    assert array.subset_all() == ArraySubset.new_with_shape(array.shape)
    assert hash(array) != hash(tegula.open_array(sample.path))


def test_peers_agree_on_properties(samples):
    zarr = pytest.importorskip("zarr")
    for (writer, layout), sample in samples.items():
        theirs = zarr.open_array(str(sample.path), mode="r")
        assert (sample.array.chunks, sample.array.shards) == (theirs.chunks, theirs.shards), (writer, layout)
        assert sample.array.dtype == theirs.dtype
        assert sample.array.fill_value == theirs.fill_value
        np.testing.assert_array_equal(theirs[...], sample.elements)


def test_chunks(sample):
    array, whole = sample.array, padded(sample)
    shape = array.shards or array.chunks
    for chunk in grid(array.chunk_grid_shape):
        start = tuple(i * length for i, length in zip(chunk, shape, strict=True))
        expected = part(whole, start, shape)
        found = array.retrieve_chunk(chunk)
        np.testing.assert_array_equal(found, expected, strict=True)
        out = np.zeros_like(expected)
        assert array.retrieve_chunk(list(chunk), out) is out
        np.testing.assert_array_equal(out, expected)
        assert array.chunk_origin(chunk) == start
        assert array.chunk_shape(chunk) == shape
        assert array.chunk_subset(chunk) == ArraySubset(start, shape)
        assert array.chunk_subset_bounded(chunk) == ArraySubset(start, shape).bound(array.shape)
        key = sample.path / array.chunk_key(chunk)
        exists = key.exists()
        assert array.chunk_exists(chunk) == exists
        found = array.retrieve_chunk_if_exists(chunk)
        if exists:
            np.testing.assert_array_equal(found, expected)
            assert array.retrieve_encoded_chunk(chunk) == key.read_bytes()
        else:
            assert found is None
            assert (expected == 3).all()
            assert array.retrieve_encoded_chunk(chunk) is None
        region = [(length // 3, length) for length in shape]
        expected = expected[tuple(slice(*pair) for pair in region)]
        np.testing.assert_array_equal(array.retrieve_chunk_subset(chunk, region), expected, strict=True)
        decoder = array.partial_decoder(chunk)
        assert decoder.chunk == chunk
        assert decoder.exists() == exists
        for _ in range(2):
            first, second = decoder.partial_decode([ArraySubset.new_with_ranges(region), [(0, 1)] * array.ndim])
            np.testing.assert_array_equal(first, expected, strict=True)
            assert second.shape == (1,) * array.ndim


def test_regions_of_chunks(sample):
    array, whole = sample.array, padded(sample)
    shape = array.shards or array.chunks
    counts = array.chunk_grid_shape
    for region in (ArraySubset.new_with_shape(counts), ArraySubset.new_with_ranges([(n // 2, n) for n in counts])):
        start = tuple(i * length for i, length in zip(region.start, shape, strict=True))
        extent = tuple(i * length for i, length in zip(region.shape, shape, strict=True))
        np.testing.assert_array_equal(array.retrieve_chunks(region), part(whole, start, extent), strict=True)
        assert array.chunks_subset(region) == ArraySubset(start, extent)
        assert array.chunks_subset_bounded(region) == ArraySubset(start, extent).bound(array.shape)
        expected = [array.retrieve_encoded_chunk(chunk) for chunk in region.indices()]
        assert array.retrieve_encoded_chunks(region) == expected
    if array.ndim:
        empty = [(1, 1)] * array.ndim
        assert array.retrieve_chunks(empty).size == 0
        assert array.retrieve_encoded_chunks(empty) == []
        # Omitted ends are the ends of the grid.
        every = tuple(slice(None) for _ in counts)
        np.testing.assert_array_equal(array.retrieve_chunks(every), whole)


def test_inner_chunks(sample):
    array, whole = sample.array, padded(sample)
    for inner in grid(array.inner_chunk_grid_shape):
        start = tuple(i * length for i, length in zip(inner, array.chunks, strict=True))
        expected = part(whole, start, array.chunks)
        np.testing.assert_array_equal(array.retrieve_inner_chunk(inner), expected, strict=True)
        encoded = array.retrieve_encoded_inner_chunk(inner)
        if not array.is_sharded:
            assert encoded == array.retrieve_encoded_chunk(inner)
        elif encoded is None:
            assert (expected == 3).all()
        elif not array.codecs[0]["configuration"]["codecs"][1:]:
            assert encoded == expected.tobytes()
    counts = array.inner_chunk_grid_shape
    region = [(n // 3, n) for n in counts]
    start = tuple(first * length for (first, _), length in zip(region, array.chunks, strict=True))
    shape = tuple((stop - first) * length for (first, stop), length in zip(region, array.chunks, strict=True))
    expected = part(whole, start, shape)
    np.testing.assert_array_equal(array.retrieve_inner_chunks(region), expected, strict=True)


def test_array_subsets(sample):
    array, elements = sample.array, sample.elements
    rng = np.random.default_rng(0)
    starts = []
    for _ in range(10):
        start = [int(rng.integers(0, n)) for n in array.shape]
        stop = [int(rng.integers(first, n + 1)) for first, n in zip(start, array.shape, strict=True)]
        expected = elements[tuple(map(slice, start, stop))]
        ranges = list(zip(start, stop, strict=True))
        for region in (
            ArraySubset.new_with_ranges(ranges),
            ranges,
            tuple(map(slice, start, stop)),
            [range(*r) for r in ranges],
        ):
            np.testing.assert_array_equal(array.retrieve_array_subset(region), expected, strict=True)
        chunks = array.chunks_in_array_subset(ranges)
        touched = {
            tuple(i // n for i, n in zip(index, array.shards or array.chunks, strict=True))
            for index in ArraySubset.new_with_ranges(ranges).indices()
        }
        assert set(chunks.indices()) == touched
        starts.append([min(first, n - 2) for first, n in zip(start, array.shape, strict=True)])
    shape = (2,) * array.ndim
    expected = np.stack([part(elements, start, shape) for start in starts]) if array.ndim else np.stack([elements] * 10)
    starts = np.array(starts, "int16").reshape(10, array.ndim)
    if array.ndim:
        np.testing.assert_array_equal(array.retrieve_array_subsets(starts, shape), expected, strict=True)
        out = np.zeros((*expected.shape, 2), array.dtype)[::-1, ..., 0]
        assert array.retrieve_array_subsets(starts.tolist(), shape, out=out) is out
        np.testing.assert_array_equal(out, expected)
    assert array.retrieve_array_subsets([], shape).shape == (0, *shape)


@pytest.mark.parametrize("layout", ["plain", "zstd", "sharded", "sharded zstd", "transposed"])
def test_out_of_any_strides(samples, layout):
    sample = samples["ours", layout]
    dtype = sample.array.dtype
    room = np.zeros((60, 60, 2), dtype)
    for out in (
        room[:17, :23, 0],
        room[::-1][:34:2, 50:27:-1, 1],
        room[:23, :17, 0].T,
        np.zeros((17, 23), dtype, order="F"),
    ):
        out[...] = 0
        assert sample.array.retrieve_array_subset([(0, 17), (0, 23)], out=out) is out
        np.testing.assert_array_equal(out, sample.elements)
    assert (room[17:, 23:, 0] == 0).sum() >= 0


def test_wrong_outputs_are_refused(samples):
    array = samples["ours", "plain"].array
    whole = array.subset_all()
    readonly = np.zeros((17, 23), "float32")
    readonly.flags.writeable = False
    overlapping = np.lib.stride_tricks.as_strided(np.zeros(100, "float32"), (17, 23), (4, 8))
    repeated = np.lib.stride_tricks.as_strided(np.zeros(100, "float32"), (17, 23), (0, 4))
    for out, message in [
        (np.zeros((17, 24), "float32"), r"shape \(17, 24\)"),
        (np.zeros(17 * 23, "float32"), "shape"),
        (np.zeros((17, 23), "float64"), "float32, not float64"),
        (np.zeros((17, 23), ">f4"), "float32"),
        (np.zeros((17, 23), "int32"), "int32"),
        (np.zeros((17, 23), object), "object"),
        (readonly, "read-only"),
        (overlapping, "overlap"),
        (repeated, "overlap"),
    ]:
        with pytest.raises(tegula.InvalidSelectionError, match=message):
            array.retrieve_array_subset(whole, out=out)
    for out in ([0], "text", bytearray(17 * 23 * 4)):
        with pytest.raises(TypeError, match="ndarray"):
            array.retrieve_array_subset(whole, out=out)


def test_out_of_bounds(sample):
    array = sample.array
    beyond = [(0, n + 1) for n in array.shape]
    if array.ndim:
        for read in (
            lambda: array.retrieve_array_subset(beyond),
            lambda: array.retrieve_array_subset([(2**62, 2**63)] * array.ndim),
            lambda: array.chunks_in_array_subset(beyond),
            lambda: array.retrieve_chunk(array.chunk_grid_shape),
            lambda: array.retrieve_chunk((-1,) * array.ndim),
            lambda: array.retrieve_chunk_if_exists(array.chunk_grid_shape),
            lambda: array.retrieve_chunks([(0, n + 1) for n in array.chunk_grid_shape]),
            lambda: array.retrieve_encoded_chunk(array.chunk_grid_shape),
            lambda: array.retrieve_encoded_chunks([(0, n + 1) for n in array.chunk_grid_shape]),
            lambda: array.retrieve_inner_chunk(array.inner_chunk_grid_shape),
            lambda: array.retrieve_inner_chunks([(0, n + 1) for n in array.inner_chunk_grid_shape]),
            lambda: array.retrieve_encoded_inner_chunk(array.inner_chunk_grid_shape),
            lambda: array.retrieve_chunk_subset((0,) * array.ndim, [(0, 1000)] * array.ndim),
            lambda: array.partial_decoder(array.chunk_grid_shape),
            lambda: array.partial_decoder((0,) * array.ndim).partial_decode([[(0, 1000)] * array.ndim]),
            lambda: array.retrieve_array_subsets([array.shape], (1,) * array.ndim),
            lambda: array.retrieve_array_subsets([[-1] * array.ndim], (1,) * array.ndim),
            lambda: array.chunk_key(array.chunk_grid_shape),
            lambda: array.map_chunks(lambda *_: None, [(0, 1000)] * array.ndim),
        ):
            with pytest.raises(tegula.InvalidSelectionError):
                read()
    for read in (
        lambda: array.retrieve_array_subset([(0, 1)] * (array.ndim + 1)),
        lambda: array.retrieve_chunk((0,) * (array.ndim + 1)),
        lambda: array.retrieve_array_subset(array.subset_all(), dtype="uint64"),
    ):
        with pytest.raises(tegula.InvalidSelectionError):
            read()


def test_messages_name_region_and_shape(samples):
    array = samples["ours", "plain"].array
    with pytest.raises(tegula.InvalidSelectionError) as raised:
        array.retrieve_array_subset([(0, 99), (0, 1)])
    message = str(raised.value)
    assert array.name in message
    assert "[0:99, 0:1]" in message
    assert "(17, 23)" in message


def test_the_element_type_is_checked_before_anything_is_read(tmp_path):
    path = tmp_path / "a"
    write_ours(path, "zstd")
    array = tegula.open_array(path)
    shutil.rmtree(path)
    path.write_text("no folder any more")
    with pytest.raises(tegula.InvalidSelectionError, match="float32, not float64"):
        array.retrieve_array_subset(array.subset_all(), dtype="float64")
    with pytest.raises(tegula.InvalidSelectionError):
        array.retrieve_chunk((0, 0), out=np.zeros((5, 7)))
    with pytest.raises(TypeError):
        array.retrieve_array_subset(array.subset_all(), dtype="no type")
    assert array.retrieve_array_subset([(0, 0), (0, 3)], dtype="f4").shape == (0, 3)


def test_empty_regions_cost_nothing(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(4, 0, 6), dtype="int8")
    assert array[...].shape == (4, 0, 6)
    assert array.chunk_grid_shape[1] == 0
    assert array.map_chunks(lambda index, elements: index) == []
    assert next(iter(array)).shape == (0, 6)
    assert array.explain() == tegula.Explanation(*[0] * 9)


def test_caches(samples):
    for layout in ("zstd", "sharded zstd"):
        sample = samples["ours", layout]
        for cache in (
            "1 MB",
            10**6,
            ChunkCache.decoded(chunks=1000),
            ChunkCache.encoded(bytes="1MiB"),
            ChunkCache.decoded(bytes=10**6, per_thread=True),
        ):
            array = sample.array.with_cache(cache)
            for _ in range(2):
                np.testing.assert_array_equal(array[...], sample.elements)
                np.testing.assert_array_equal(array[2:9, 3:20], sample.elements[2:9, 3:20])
            info = array.cache_info()
            # The cache has one list per thread, so each thread may read a chunk once.
            assert info.hits > 0
            assert info.misses >= info.chunks > 0 if not array.cache.counts()[0] else info.chunks > 0
            assert info == tegula.CacheInfo(*array.cache.counts())
            array.cache.clear()
            assert array.cache_info()[2:] == (0, 0)
    assert sample.array.cache is None
    assert sample.array.cache_info() == (0, 0, 0, 0)
    assert array.with_cache(None).cache is None


def test_caches_count_exactly(samples):
    array = samples["ours", "zstd"].array.with_cache("1 MB").with_options(concurrent_target=1)
    assert array[0, 0] == 1
    assert array.cache_info() == (0, 1, 1, 5 * 7 * 4)
    assert array[4, 6] == samples["ours", "zstd"].elements[4, 6]
    assert array.cache_info() == (1, 1, 1, 5 * 7 * 4)
    assert array.with_options(validate_checksums=False).cache is array.cache


def test_caches_see_rewritten_chunks(tmp_path):
    for layout in ("zstd", "sharded zstd"):
        for store in (tmp_path / layout, tegula.MemoryStore(), {}):
            elements = write_ours(store, layout)
            array = tegula.open_array(store)
            decoder = array.partial_decoder((0, 0))
            array = array.with_cache("1 MB")
            for _ in range(3):
                np.testing.assert_array_equal(array[...], elements)
                np.testing.assert_array_equal(decoder.partial_decode([[(0, 5), (0, 7)]])[0], elements[:5, :7])
                elements = elements + 1
                tegula.open_array(store)[...] = elements


def test_cache_limits_are_kept(samples):
    array = samples["ours", "zstd"].array.with_cache(ChunkCache.decoded(chunks=2))
    array[...]
    assert array.cache_info().chunks == 2
    array = array.with_cache(300)
    array[...]
    assert array.cache_info().bytes <= 300


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: ChunkCache.decoded(), TypeError),
        (lambda: ChunkCache.decoded(chunks=1, bytes=1), TypeError),
        (lambda: ChunkCache.decoded(bytes="many"), tegula.InvalidSelectionError),
        (lambda: ChunkCache.decoded(bytes="1 parsec"), tegula.InvalidSelectionError),
        (lambda: ChunkCache.decoded(bytes=-1), OverflowError),
        (lambda: ChunkCache.decoded(bytes=[1]), TypeError),
    ],
)
def test_wrong_cache_limits(make, error):
    with pytest.raises(error):
        make()


def test_options(samples):
    array = samples["ours", "zstd"].array
    for target in (1, 2, 7):
        limited = array.with_options(concurrent_target=target)
        assert limited.options.concurrent_target == target
        np.testing.assert_array_equal(limited[...], samples["ours", "zstd"].elements)
    assert array.options == CodecOptions()
    options = CodecOptions(concurrent_target=3, store_empty_chunks=True)
    assert array.with_options(options).options == options
    assert array.with_options(options, concurrent_target=4).options == options.replace(concurrent_target=4)
    assert len({options, CodecOptions(concurrent_target=3, store_empty_chunks=True)}) == 1
    with pytest.raises(TypeError):
        array.with_options(concurrent_target="many")


def test_global_options(samples, tmp_path):
    path = samples["ours", "zstd"].path
    before = repr(tegula.config)
    with tegula.config.set(concurrent_target=3, validate_checksums=False):
        assert tegula.config.concurrent_target == 3
        assert tegula.open_array(path).options == CodecOptions(concurrent_target=3, validate_checksums=False)
        with tegula.config.set(store_empty_chunks=True):
            assert tegula.open_array(path).options.store_empty_chunks
            assert tegula.config.concurrent_target == 3
        assert not tegula.config.store_empty_chunks
    assert repr(tegula.config) == before
    tegula.config.store_empty_chunks = True
    array = tegula.create_array(tmp_path / "a", shape=(2,), dtype="int8")
    tegula.config.store_empty_chunks = False
    array.store_chunk(0, [0, 0])
    assert array.chunk_exists(0)
    array.with_options(store_empty_chunks=False).store_chunk(0, [0, 0])
    assert not array.chunk_exists(0)
    assert tegula.config.threads >= 1
    with pytest.raises(AttributeError):
        tegula.config.thraeds = 1
    with pytest.raises(tegula.InvalidSelectionError):
        tegula.config.threads = 0


@pytest.mark.parametrize("layout", ["checked", "one shard"])
def test_wrong_checksums_are_errors_on_whole_and_partial_reads(tmp_path, layout):
    elements = write_ours(tmp_path / "a", layout)
    array = tegula.open_array(tmp_path / "a")
    # In a shard, the checksum of the last inner chunk is directly before the index.
    index = 0
    if array.is_sharded:
        index = 16 * 16 + 4
    file = tmp_path / "a" / array.chunk_key((0, 0))
    content = bytearray(file.read_bytes())
    content[-index - 1] ^= 1
    file.write_bytes(content)
    key = next(
        slice_
        for chunk in grid(array.inner_chunk_grid_shape)
        for slice_ in [tuple(slice(i * n, i * n + 2) for i, n in zip(chunk, array.chunks, strict=True))]
        if raises(array, slice_)
    )
    for read in (lambda: array[...], lambda: array[key], lambda: array.retrieve_chunk((0, 0))):
        with pytest.raises(tegula.CorruptDataError, match="crc32c") as raised:
            read()
        assert "chunk (0, 0)" in str(raised.value)
        assert array.name in str(raised.value)
    trusting = array.with_options(validate_checksums=False)
    np.testing.assert_array_equal(trusting[...], elements)
    np.testing.assert_array_equal(trusting[key], elements[key])


def raises(array, key):
    try:
        array[key]
    except tegula.CorruptDataError:
        return True
    return False


def test_map_chunks(samples):
    for layout in ("zstd", "sharded", "scalar", "deep"):
        sample = samples["ours", layout]
        sums = sample.array.map_chunks(lambda index, elements: (index, elements.sum(dtype=float)), concurrency=3)
        assert [index for index, _ in sums] == grid(sample.array.chunk_grid_shape)
        assert sum(total for _, total in sums) == sample.elements.sum(dtype=float)
    array = samples["ours", "zstd"].array
    assert array.map_chunks(lambda index, elements: elements.shape, [(3, 4), (0, 4)]) == [
        (2, 7),
        (2, 7),
        (2, 7),
        (2, 2),
    ]
    with pytest.raises(ZeroDivisionError):
        array.map_chunks(lambda index, elements: 1 // 0)
    with pytest.raises(ValueError, match="at least 1"):
        array.map_chunks(lambda index, elements: None, concurrency=0)


def test_map_chunks_is_bounded(samples):
    import threading

    now, most, lock = 0, 0, threading.Lock()

    def work(index, elements):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1

    samples["ours", "zstd"].array.map_chunks(work, concurrency=3)
    assert 1 < most <= 3


def test_explanations(samples):
    array = samples["ours", "sharded zstd"].array
    found = array.explain(np.s_[2:4, 3])
    assert (found.chunks, found.inner_chunks, found.bytes_wanted) == (1, 1, 4)
    assert found.bytes_decoded == 5 * 7 * 2
    assert found.ratio == 5 * 7 / 2
    assert found.as_dict()["ratio"] == found.ratio
    assert "1 inner chunk" in str(found)
    assert array.explain(ArraySubset((2, 3), (2, 1))) == found
    assert array.explain(np.s_[10:, 14:]).missing_chunks == 1
    with pytest.raises(tegula.InvalidSelectionError):
        array.explain(17)


def test_missing_chunks_have_the_fill_value(tmp_path):
    for dtype, fill in [
        ("float32", np.nan),
        ("float64", -0.0),
        ("int64", -(2**63)),
        ("bool", True),
        ("complex64", 1 - 2j),
        ("V3", b"abc"),
    ]:
        array = tegula.create_array(tmp_path / dtype, shape=(3, 4), chunks=(2, 2), dtype=dtype, fill_value=fill)
        expected = np.full((3, 4), np.array(fill, dtype))
        assert array[...].tobytes() == expected.tobytes()
        assert array.retrieve_chunk((1, 1)).tobytes() == expected[:2, :2].tobytes()
        assert np.asarray(array.fill_value).tobytes() == expected[0, 0].tobytes()


def test_samples_have_distinct_elements():
    assert len(np.unique(content((17, 23), "float32"))) > 300


def test_arrays_larger_than_memory_are_refused():
    vast = tegula.create_array({}, shape=(2**61,), chunks=(64,), dtype="f8", fill_value=3)
    assert vast[2**61 - 1] == 3
    for read in (lambda: vast[...], lambda: vast.retrieve_array_subset(vast.subset_all())):
        with pytest.raises(tegula.InvalidSelectionError, match="do not fit in memory"):
            read()
    with pytest.raises(tegula.InvalidSelectionError, match="chunks, and at most"):
        vast.explain()
