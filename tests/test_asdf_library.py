"""tegula in the asdf library, and the library's converters and schemas in tegula."""

import io
import lzma
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tegula
import tegula.asdf

asdf = pytest.importorskip("asdf")

from tegula.asdf import _extension  # noqa: E402 - the library is there


@pytest.fixture(autouse=True)
def _extensions():
    """Register the extensions as the entry point does, which only exists if tegula is installed."""
    with asdf.config_context() as config:
        if not any(extension.package_name == "tegula" for extension in config.extensions):
            for extension in _extension.extensions():
                config.add_extension(extension)
        yield


def elements() -> np.ndarray:
    return np.arange(17 * 23, dtype="int16").reshape(17, 23)


def sharded() -> tegula.Array:
    array = tegula.create_array(
        {}, shape=(17, 23), chunks=(5, 7), shards=(10, 14), dtype="i2", fill_value=3, compressors="zstd:1"
    )
    array[:10, :14] = elements()[:10, :14]
    return array


def arrays() -> dict[str, tegula.Array]:
    plain = tegula.create_array({}, shape=(17, 23), chunks=(5, 7), dtype="f4", fill_value=np.nan)
    plain[:5] = 1
    bfloat = tegula.create_array({}, shape=(4,), chunks=(2,), dtype="bfloat16", data=np.arange(4))
    v2 = tegula.asdf.chunked(elements(), chunks=(5, 7), attributes={"unit": "s"})
    point = tegula.asdf.chunked(np.float64(1.5))
    return {"v2": v2, "v3": plain, "sharded": sharded(), "bfloat": bfloat, "point": point}


def equal(found, expected):
    np.testing.assert_array_equal(np.asarray(found[...]), np.asarray(expected[...]))


def written(tmp_path, tree):
    asdf.AsdfFile(tree).write_to(tmp_path / "a.asdf")
    return tmp_path / "a.asdf"


OPENERS = {
    "path": lambda path: asdf.open(path),
    "memory": lambda path: asdf.open(io.BytesIO(path.read_bytes())),
    "rw": lambda path: asdf.open(path, mode="rw"),
    "memmap": lambda path: asdf.open(path, memmap=True),
    "not lazy": lambda path: asdf.open(path, lazy_load=False),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_zarr_arrays_both_ways(tmp_path, opener):
    tree = arrays()
    path = written(tmp_path, {**tree, "again": tree["v2"], "nd": np.arange(4)})
    with OPENERS[opener](path) as file:
        assert file["again"] is file["v2"]
        assert file["v2"].attrs == {"unit": "s"}
        assert file["sharded"].shards == (10, 14)
        equal(file["nd"], np.arange(4))
        for key, expected in tree.items():
            assert isinstance(file[key], tegula.Array)
            equal(file[key], expected)
        # What was read can be written again.
        copied = io.BytesIO()
        file.write_to(copied)
        copied.seek(0)
        with asdf.open(copied) as again:
            for key, expected in tree.items():
                equal(again[key], expected)


def test_files_are_those_of_asdf_zarr(tmp_path):
    path = written(tmp_path, {"first": np.zeros(1), "z": arrays()["v2"], "s": sharded()})
    with tegula.asdf.open(path) as file:
        assert (file["z"].zarr_format, file["s"].zarr_format) == (2, 3)
        extensions = [entry["extension_uri"] for entry in file.history["extensions"]]
    assert "asdf://asdf-format.org/zarr/tags/zarr-1.0.0" in extensions
    text = path.read_bytes().partition(b"\xd3BLK")[0].decode()
    assert "!<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>" in text
    assert "!<asdf://tegula/zarr/tags/zarr-v3-1.0.0>" in text


@pytest.mark.parametrize("name", ["plain", "holes", "all-fill", "several"])
def test_files_of_asdf_zarr(name):
    data = pytest.importorskip("pathlib").Path(__file__).parent / "data" / "asdf_zarr"
    for opener in OPENERS.values():
        with warnings.catch_warnings():
            # The library warns if another version of a package wrote the file.
            warnings.simplefilter("ignore", asdf.exceptions.AsdfPackageVersionWarning)
            if opener is OPENERS["rw"]:
                continue
            with opener(data / f"{name}.asdf") as file:
                for key, value in file.tree.items():
                    if isinstance(value, tegula.Array):
                        np.testing.assert_array_equal(value[...], np.load(data / f"{name}@{key}.npy"))


def test_arrays_of_zarr_python(tmp_path):
    zarr = pytest.importorskip("zarr")
    memory = zarr.create_array({}, shape=(17, 23), chunks=(5, 7), dtype="i2")
    memory[:] = elements()
    folder = zarr.create_array(
        tmp_path / "a.zarr", name="b/c", shape=(17, 23), chunks=(5, 7), dtype="i2", zarr_format=2
    )
    folder[:] = elements()
    tree = {"memory": memory, "folder": folder}
    for path in (written(tmp_path, tree), tmp_path / "ours.asdf"):
        if not path.exists():
            tegula.AsdfFile(tree).write_to(path)
        with tegula.asdf.open(path) as file:
            for key in tree:
                assert file[key].zarr_format == 2
                equal(file[key], elements())


def test_arrays_outlive_a_file_that_is_read(tmp_path):
    with asdf.open(written(tmp_path, arrays())) as file:
        array = file["v2"]
    equal(array, elements())
    with pytest.raises(tegula.UnsupportedError):
        array[0, 0] = 1


def test_closed_files_give_no_blocks(tmp_path):
    path = written(tmp_path, arrays())
    with asdf.open(path, mode="rw") as file:
        array = file["v2"]
    with pytest.raises(tegula.StoreError):
        array[...]


def test_update(tmp_path):
    """When the library moves blocks, arrays keep reading their own."""
    path = written(tmp_path, {**arrays(), "nd": np.arange(4)})
    changed = elements()
    changed[:5, :7] = -1
    with asdf.open(path, mode="rw") as file:
        array = file["v2"]
        array[:5, :7] = -1
        file["extra"] = np.arange(10_000.0)
        file["new"] = tegula.asdf.chunked(elements() + 1, chunks=(5, 7))
        del file["v3"]
        for _ in range(2):
            file.update()
            equal(array, changed)
            equal(file["sharded"], sharded())
            equal(file["nd"], np.arange(4))
    with tegula.asdf.open(path) as file:
        equal(file["v2"], changed)
        equal(file["new"], elements() + 1)


@pytest.mark.parametrize("opener", ["path", "memory", "rw"])
def test_threads(tmp_path, opener):
    tree = {f"z{i}": tegula.asdf.chunked(np.full((20, 20), i), chunks=(5, 5)) for i in range(20)}
    with OPENERS[opener](written(tmp_path, tree)) as file, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda i: bool((file[f"z{i % 20}"][...] == i % 20).all()), range(200)))


def test_chunks_are_made_one_by_one(tmp_path):
    """A block is encoded when the library writes it."""
    array = tegula.create_array({}, shape=(100, 100), chunks=(10, 10), dtype="f8", zarr_format=2)
    array[...] = 1
    blocks = _extension._blocks_of(array)
    assert len(blocks) == 101
    assert blocks.places() == list(range(100))
    with pytest.raises(OverflowError):
        blocks.block(-1, 0)


def test_stores_elsewhere_stay_nodes(tmp_path):
    path = tmp_path / "a.asdf"
    tree = "z: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0> {store: {type_string: FSStore, path: /etc}}"
    path.write_text(f"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n---\n{tree}\n...\n")
    with pytest.warns(asdf.exceptions.AsdfConversionWarning, match="another store"), asdf.open(path) as file:
        assert file["z"]["store"]["path"] == "/etc"


@pytest.mark.parametrize("label", tegula._tegula.block_labels())
def test_compressions(tmp_path, label):
    data = {"a": elements(), "b": np.arange(100_000.0), "e": np.empty(0)}
    asdf.AsdfFile(data).write_to(tmp_path / "a.asdf", all_array_compression=label)
    tegula.AsdfFile(data).write_to(tmp_path / "b.asdf", all_array_compression=label)
    for name in ("a.asdf", "b.asdf"):
        with tegula.asdf.open(tmp_path / name, validate_checksums=True) as ours, asdf.open(tmp_path / name) as theirs:
            assert label in {block["compression"] for block in ours.blocks}
            for key, expected in data.items():
                equal(ours[key], expected)
                equal(theirs[key], expected)


class Xz(asdf.extension.Compressor):
    label = b"xz"
    decoded = 0

    def compress(self, data, **_):
        yield lzma.compress(data)

    def decompress(self, data, out, **_):
        out[:] = lzma.decompress(b"".join(data))
        self.decoded += 1
        return len(out)


class Blosc2(asdf.extension.Compressor):
    label = b"bls2"
    decoded = 0

    def compress(self, data, **_):
        yield pytest.importorskip("blosc2").compress2(data, typesize=8)

    def decompress(self, data, out, **_):
        out[:] = pytest.importorskip("blosc2").decompress2(b"".join(data))
        self.decoded += 1
        return len(out)


@pytest.mark.parametrize("codec", [Xz(), Blosc2()])
def test_compressions_without_an_extension(tmp_path, codec):
    class Extension(asdf.extension.Extension):
        extension_uri = "asdf://example.org/extensions/codec-1.0.0"
        compressors = (codec,)

    label = codec.label.decode()
    data = {"a": elements(), "b": np.arange(300_000.0).reshape(100, 3000) // 7}
    with asdf.config_context() as config, warnings.catch_warnings():
        # If two codecs have the same label, the library uses the last one and warns.
        warnings.filterwarnings("ignore", "Found more than one compressor")
        config.add_extension(Extension())
        asdf.AsdfFile(data).write_to(tmp_path / "a.asdf", all_array_compression=label)
        tegula.AsdfFile(data).write_to(tmp_path / "b.asdf", all_array_compression=label)
        for name in ("a.asdf", "b.asdf"):
            with tegula.asdf.open(tmp_path / name) as ours, asdf.open(tmp_path / name) as theirs:
                assert label in {block["compression"] for block in ours.blocks}
                for key, expected in data.items():
                    equal(ours[key], expected)
                    equal(theirs[key], expected)
    assert codec.decoded == 4


def test_only_missing_codecs_are_registered():
    labels = {codec.label for extension in _extension.extensions() for codec in extension.compressors}
    # The other labels are tested against the library and asdf-compression.
    assert labels == {b"xz", b"bls2"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asdf.AsdfFile({"a": np.arange(3)}).write_to(io.BytesIO(), all_array_compression="zlib")


@pytest.mark.parametrize("label", tegula._tegula.block_labels())
def test_the_library_accelerated(tmp_path, label):
    before = asdf.get_config().extensions
    data = {"a": np.arange(700_000.0).reshape(700, 1000) // 7, "b": elements()[:, ::2], "e": np.empty(0)}
    with asdf.config_context() as config, warnings.catch_warnings():
        warnings.simplefilter("error")
        tegula.asdf.accelerate()
        tegula.asdf.accelerate()
        first = next(codec for extension in config.extensions for codec in extension.compressors)
        assert isinstance(first, _extension.Compressor)
        asdf.AsdfFile(data).write_to(tmp_path / "a.asdf", all_array_compression=label)
        with asdf.open(tmp_path / "a.asdf", memmap=False, validate_checksums=True) as file:
            for key, expected in data.items():
                equal(file[key], expected)
        damage(tmp_path / "a.asdf")
        with asdf.open(tmp_path / "a.asdf") as file, pytest.raises((tegula.CorruptDataError, tegula.UnsupportedError)):
            file["a"][:]
    assert asdf.get_config().extensions == before


def damage(path):
    """Overwrite the first bytes of the first block's data."""
    text = bytearray(path.read_bytes())
    start = text.index(b"\xd3BLK") + 54
    text[start : start + 200] = bytes(200)
    path.write_bytes(text)


def test_the_extension_is_optional():
    code = "import sys; sys.modules['asdf'] = None; import tegula.asdf; tegula.asdf.open(b'', converters='asdf')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InvalidMetadataError" in done.stderr or "NotFoundError" in done.stderr or "CorruptDataError" in done.stderr
    code = "import sys; sys.modules['asdf'] = None; import tegula; tegula.AsdfFile().validate()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UnsupportedError: converters and schemas need the asdf library" in done.stderr
    code = "import sys; sys.modules['asdf'] = None; import tegula.asdf; tegula.asdf.accelerate()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UnsupportedError: accelerate needs the asdf library" in done.stderr


# Objects of converters.


def objects() -> dict:
    pytest.importorskip("asdf_astropy")
    from astropy import coordinates, table, time, units

    data = np.arange(6.0).reshape(2, 3) * units.Jy
    return {
        "quantity": data,
        "number": 3 * units.m,
        "time": time.Time(["2020-01-01", "2021-02-03"]),
        "sky": coordinates.SkyCoord([1, 2] * units.deg, [3, 4] * units.deg),
        "unit": units.km / units.s,
        "table": table.Table({"a": np.arange(3), "b": ["x", "yy", "z"]}),
        "deep": [{"n": 2 * units.s}],
        "shared": data,
        "plain": np.arange(5),
        "complex": 1 + 2j,
    }


def same_objects(file, expected):
    assert (file["quantity"] == expected["quantity"]).all()
    assert file["quantity"].unit == expected["quantity"].unit
    assert file["number"] == expected["number"]
    assert (file["time"] == expected["time"]).all()
    assert (file["sky"].ra == expected["sky"].ra).all()
    assert file["unit"] == expected["unit"]
    assert list(file["table"]["a"]) == [0, 1, 2]
    assert list(file["table"]["b"]) == ["x", "yy", "z"]
    assert file["deep"][0]["n"] == expected["deep"][0]["n"]
    assert file["shared"] is file["quantity"]
    assert file["complex"] == 1 + 2j
    equal(file["plain"], expected["plain"])


def test_objects_both_ways(tmp_path):
    expected = objects()
    asdf.AsdfFile(expected).write_to(tmp_path / "theirs.asdf")
    tegula.AsdfFile(expected).write_to(tmp_path / "ours.asdf", converters="asdf")
    for name in ("theirs.asdf", "ours.asdf"):
        for lazy in (True, False):
            with tegula.asdf.open(tmp_path / name, converters="asdf", lazy_load=lazy) as file:
                same_objects(file, expected)
                file.validate()
                # The file is written with the converters it was opened with.
                file.write_to(tmp_path / "again.asdf")
            with tegula.asdf.open(tmp_path / "again.asdf", converters="asdf", validate=True) as file:
                same_objects(file, expected)
            with asdf.open(tmp_path / "again.asdf") as file:
                same_objects(file, expected)
    noted = []
    for name in ("theirs.asdf", "ours.asdf"):
        with tegula.asdf.open(tmp_path / name) as file:
            noted.append({entry["extension_uri"] for entry in file.history["extensions"]})
            assert list(file.tree)[:2] == ["asdf_library", "history"]
            assert isinstance(file["quantity"], tegula.asdf.TaggedDict)
    assert noted[0] == noted[1]


def test_world_coordinates(tmp_path):
    gwcs = pytest.importorskip("gwcs")
    pytest.importorskip("asdf_astropy")
    from astropy import coordinates, units
    from astropy.modeling import models

    detector = gwcs.coordinate_frames.Frame2D(name="detector", axes_order=(0, 1), unit=(units.pix, units.pix))
    sky = gwcs.coordinate_frames.CelestialFrame(
        name="sky", reference_frame=coordinates.ICRS(), unit=(units.deg, units.deg)
    )
    shift = (models.Shift(-5) & models.Shift(-6)) | (models.Scale(0.01) & models.Scale(0.01))
    matrix = models.AffineTransformation2D(np.array([[1.0, 0.1], [-0.1, 1.0]]))
    transform = shift | matrix | models.Pix2Sky_TAN() | models.RotateNative2Celestial(5, 6, 180)
    wcs = gwcs.WCS([(detector, transform), (sky, None)])
    asdf.AsdfFile({"meta": {"wcs": wcs}}).write_to(tmp_path / "a.asdf")
    tegula.AsdfFile({"meta": {"wcs": wcs}}).write_to(tmp_path / "b.asdf", converters="asdf")
    for name in ("a.asdf", "b.asdf"):
        with tegula.asdf.open(tmp_path / name, converters="asdf") as ours, asdf.open(tmp_path / name) as theirs:
            for file in (ours, theirs):
                np.testing.assert_allclose(file["meta"]["wcs"](1.0, 2.0), wcs(1.0, 2.0))


def test_objects_need_converters(tmp_path):
    units = pytest.importorskip("astropy.units")
    for value in (3 * units.m, np.arange(3) * units.m, units.m):
        with pytest.raises(tegula.UnsupportedError, match='converters="asdf"'):
            tegula.AsdfFile({"x": value}).write_to(tmp_path / "a.asdf")
    with pytest.raises(ValueError, match="converters"):
        tegula.asdf.open(tmp_path / "a.asdf", converters="numpy")


class Thing:
    """An object whose converter stores two blocks."""

    def __init__(self, first, second, array=None):
        self.first = first
        self.second = second
        self.array = array


class ThingConverter:
    tags = ("asdf://example.org/tags/thing-1.0.0",)
    types = (Thing,)

    def to_yaml_tree(self, obj, tag, ctx):
        keys = ctx.generate_block_key(), ctx.generate_block_key()
        blocks = [
            ctx.find_available_block_index(lambda data=data: np.frombuffer(data, np.uint8), key)
            for data, key in zip((obj.first, obj.second), keys, strict=True)
        ]
        return {"blocks": blocks, "array": obj.array}

    def from_yaml_tree(self, node, tag, ctx):
        data = [ctx.get_block_data_callback(block, ctx.generate_block_key())() for block in node["blocks"]]
        return Thing(*(part.tobytes() for part in data), node["array"])


class ThingExtension:
    extension_uri = "asdf://example.org/extensions/thing-1.0.0"
    tags = ThingConverter.tags
    converters = (ThingConverter(),)


def test_converters_that_store_blocks(tmp_path):
    with asdf.config_context() as config:
        config.add_extension(ThingExtension())
        thing = Thing(b"one", b"two", np.arange(3))
        tree = {"before": np.arange(5), "thing": thing, "again": [thing]}
        tegula.AsdfFile(tree).write_to(tmp_path / "a.asdf", converters="asdf")
        for opened in (asdf.open(tmp_path / "a.asdf"), tegula.asdf.open(tmp_path / "a.asdf", converters="asdf")):
            with opened as file:
                assert (file["thing"].first, file["thing"].second) == (b"one", b"two")
                assert file["thing"] is file["again"][0]
                equal(file["before"], np.arange(5))
                equal(file["thing"].array, np.arange(3))
    with pytest.warns(asdf.exceptions.AsdfConversionWarning, match="thing-1.0.0 has no converter"):
        file = tegula.asdf.open(tmp_path / "a.asdf", converters="asdf")
    assert file["thing"].tag == ThingConverter.tags[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tegula.asdf.open(tmp_path / "a.asdf", converters="asdf", ignore_unrecognized_tag=True)


def test_arrays_in_objects_are_lazy(tmp_path):
    class Box:
        def __init__(self, array):
            self.array = array

    class BoxConverter:
        tags = ("asdf://example.org/tags/box-1.0.0",)
        types = (Box,)

        def to_yaml_tree(self, obj, tag, ctx):
            return {"array": obj.array}

        def from_yaml_tree(self, node, tag, ctx):
            return Box(node["array"])

    class BoxExtension:
        extension_uri = "asdf://example.org/extensions/box-1.0.0"
        tags = BoxConverter.tags
        converters = (BoxConverter(),)

    with asdf.config_context() as config:
        config.add_extension(BoxExtension())
        data = np.arange(1_000_000, dtype="i4").reshape(1000, 1000)
        tree = {"box": Box(data), "masked": Box(np.ma.array([1, 2], mask=[0, 1]))}
        asdf.AsdfFile(tree).write_to(tmp_path / "a.asdf", all_array_compression="zlib")
        with tegula.asdf.open(tmp_path / "a.asdf", converters="asdf", memmap=False) as file:
            array = file["box"].array
            assert "unloaded" in repr(array)
            assert (array.shape, array.dtype, array.ndim, array.size) == ((1000, 1000), np.int32, 2, 1_000_000)
            part = array[10:12, 3]
            assert part.tolist() == [10003, 11003]
            assert not part.flags.writeable
            assert "unloaded" in repr(array)
            # Its block was not read, so it is copied without decoding.
            file.write_to(tmp_path / "b.asdf")
            with tegula.asdf.open(tmp_path / "b.asdf") as copied:
                assert copied.blocks[0]["compression"] == "zlib"
            array[0, 0] = 7
            assert array[0, 0] == 7
            assert (array + 1)[0, 0] == 8
            file.write_to(tmp_path / "b.asdf")
            assert isinstance(file["masked"].array._make_array(), np.ma.MaskedArray)
            # The library writes it too.
            asdf.AsdfFile({"box": file["box"]}).write_to(tmp_path / "c.asdf")
        for name in ("b.asdf", "c.asdf"):
            with asdf.open(tmp_path / name) as file:
                assert file["box"].array[0, 0] == 7
                assert file["box"].array[10, 3] == 10003


def test_nodes_that_converters_fail_on_are_kept(tmp_path):
    text = "x: !unit/quantity-1.2.0 {value: 1, unit: !unit/unit-1.0.0 no_such_unit}\n"
    head = "#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
    (tmp_path / "a.asdf").write_text(head + text + "...\n")
    pytest.importorskip("asdf_astropy")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        file = tegula.asdf.open(tmp_path / "a.asdf", converters="asdf")
    assert file["x"] is not None
    assert caught or file["x"].unit is not None


# Schemas.


def test_schemas(tmp_path):
    quantity = "tag:stsci.edu:asdf/unit/quantity-1.2.0"
    bad = tegula.AsdfFile({"x": tegula.asdf.TaggedDict(quantity, {"value": 1})})
    pytest.importorskip("asdf_astropy")
    with pytest.raises(tegula.InvalidMetadataError, match="unit"):
        bad.validate()
    bad.write_to(tmp_path / "a.asdf")
    tegula.asdf.open(tmp_path / "a.asdf")
    with pytest.raises(tegula.InvalidMetadataError, match="unit"):
        tegula.asdf.open(tmp_path / "a.asdf", validate=True)
    good = {
        "a": np.arange(3),
        "r": np.zeros(2, [("x", "f4"), ("y", "S3")]),
        "c": 1j,
        "big": -(2**80),
        "z": tegula.asdf.chunked(np.arange(4)),
        "m": np.ma.array([1, 2], mask=[0, 1]),
        "ref": tegula.asdf.Reference("a.asdf#/x"),
        "t": (1, [2, {"b": True}]),
    }
    tegula.AsdfFile(good).validate()
    tegula.AsdfFile(good).write_to(tmp_path / "b.asdf")
    tegula.asdf.open(tmp_path / "b.asdf", validate=True).validate()


def test_schema_info():
    pytest.importorskip("asdf_astropy")
    quantity = tegula.asdf.TaggedDict("tag:stsci.edu:asdf/unit/quantity-1.2.0", {"value": 1, "unit": "m"})
    found = tegula.AsdfFile({"x": quantity}).schema_info("description")
    assert "value" in str(found)


def test_threads_share_lazy_arrays(tmp_path):
    from tegula.asdf._lazy import LazyArray

    tegula.AsdfFile({"a": np.arange(1000)}).write_to(tmp_path / "a.asdf", all_array_compression="zlib")
    array = LazyArray(tegula.asdf.open(tmp_path / "a.asdf")["a"])
    barrier = threading.Barrier(8)

    def whole(_):
        barrier.wait()
        return array._make_array()

    with ThreadPoolExecutor(8) as pool:
        assert len({id(found) for found in pool.map(whole, range(8))}) == 1
