"""ASDF files that the asdf library writes and tegula reads, and the other way round."""

import copy
import datetime as dt
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tegula
import tegula.asdf

CODES = ["i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
DTYPES = [f"{order}{code}" for code in CODES for order in "<>"]
DTYPES += ["i1", "u1", "?", "S5", "<U3", ">U4"]

RECORD = np.dtype([("a", "u1"), ("b", ">f8"), ("s", "S3"), ("v", "<i2", (2, 3)), ("r", [("x", "<f4"), ("y", ">u2")])])


def peer():
    return pytest.importorskip("asdf")


def content(dtype, shape=(4, 6)) -> np.ndarray:
    dtype = np.dtype(dtype)
    count = np.prod(shape, dtype=int)
    if dtype.kind in "SU":
        return np.array([f"{i:x}" for i in range(count)]).reshape(shape).astype(dtype)
    return (np.arange(count).reshape(shape) % 100).astype(dtype)


def records() -> np.ndarray:
    elements = np.zeros(3, RECORD)
    elements["a"], elements["b"], elements["s"] = [1, 2, 3], [0.5, 1.5, np.inf], [b"a", b"bcd", b""]
    elements["v"], elements["r"]["y"] = np.arange(18).reshape(3, 2, 3), [7, 8, 9]
    return elements


def trees() -> dict[str, dict]:
    base = np.arange(120.0).reshape(10, 12)
    return {
        "types": {dtype: content(dtype) for dtype in DTYPES},
        "records": {"r": records()},
        "shapes": {"point": np.array(5.5), "none": np.empty((0, 3)), "deep": np.arange(64).reshape((2,) * 6)},
        "views": {
            "f": np.asfortranarray(base),
            "back": base[::-2, 1:],
            "t": base.T,
            "one": np.broadcast_to(base[0], (3, 12)),
        },
    }


def same(found, expected):
    found = found[...]
    assert found.shape == expected.shape
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


def write_theirs(path, tree, **options):
    peer().AsdfFile(tree).write_to(path, **options)
    return path


def write_ours(path, tree, **options):
    tegula.asdf.AsdfFile(tree).write_to(path, **options)
    return path


@pytest.mark.parametrize("memmap", [True, False])
@pytest.mark.parametrize("name", trees())
def test_files_of_the_library(tmp_path, name, memmap):
    tree = trees()[name]
    path = write_theirs(tmp_path / "a.asdf", tree)
    with tegula.asdf.open(path, memmap=memmap, validate_checksums=True) as file:
        file.verify()
        for key, expected in tree.items():
            array = file[key]
            assert isinstance(array, tegula.Array)
            assert (array.shape, array.ndim, array.nbytes) == (expected.shape, expected.ndim, expected.nbytes)
            same(array, expected)
            same(np.asarray(array), expected)
            if expected.ndim == 2:
                same(array[1:3, -1], expected[1:3, -1])


@pytest.mark.parametrize("compression", ["zlib", "bzp2", "lz4"])
def test_compressed_blocks_of_the_library(tmp_path, compression):
    if compression == "lz4":
        pytest.importorskip("lz4")
    tree = {dtype: content(dtype) for dtype in ("<i2", ">f8", "S5")} | {"big": np.arange(3_000_000)}
    path = write_theirs(tmp_path / "a.asdf", tree, all_array_compression=compression)
    with tegula.asdf.open(path, validate_checksums=True) as file:
        assert {block["compression"] for block in file.blocks} == {compression}
        for key, expected in tree.items():
            same(file[key], expected)
        assert file["big"][2_999_999] == 2_999_999


def test_shared_blocks_of_the_library(tmp_path):
    base = np.arange(120.0).reshape(10, 12)
    library = peer()
    with library.config_context() as config:
        config.default_array_save_base = True
        path = write_theirs(tmp_path / "a.asdf", {"base": base, "view": base[2:9:3, ::-1], "again": base})
    with tegula.asdf.open(path) as file:
        assert len(file.blocks) == 1
        same(file["view"], base[2:9:3, ::-1])
        assert file["base"] is file["again"]


def test_inline_arrays_of_the_library(tmp_path):
    tree = {"i": np.arange(6).reshape(2, 3), "f": np.array([1.5, np.nan]), "s": np.array(["a", "bcd"]), "r": records()}
    path = write_theirs(tmp_path / "a.asdf", tree, all_array_storage="inline")
    with tegula.asdf.open(path) as file:
        assert not file.blocks
        for key, expected in tree.items():
            assert isinstance(file[key], np.ndarray)
            same(file[key], expected)


def test_external_blocks_of_the_library(tmp_path):
    path = write_theirs(tmp_path / "a.asdf", {"x": np.arange(5), "y": np.arange(6.0)}, all_array_storage="external")
    with tegula.asdf.open(path) as file:
        same(file["y"], np.arange(6.0))


def test_streams_of_the_library(tmp_path):
    library = peer()
    path = tmp_path / "a.asdf"
    with path.open("wb") as out:
        library.AsdfFile({"s": library.Stream([5], np.float64)}).write_to(out)
        out.write(np.arange(15.0).tobytes() + b"rest")
    with tegula.asdf.open(path) as file:
        same(file["s"], np.arange(15.0).reshape(3, 5))
        copied = write_ours(tmp_path / "b.asdf", {"s": file["s"]})
    with tegula.asdf.open(copied) as file:
        same(file["s"], np.arange(15.0).reshape(3, 5))


@pytest.mark.parametrize("storage", ["internal", "inline"])
def test_masks(tmp_path, storage):
    library = peer()
    masked = np.ma.array([1.5, 2.5, 3.5], mask=[0, 1, 0])
    file = library.AsdfFile({"m": masked, "nan": [1.0]})
    file.write_to(tmp_path / "a.asdf", all_array_storage=storage)
    with tegula.asdf.open(tmp_path / "a.asdf") as file:
        found = file["m"][...]
        assert isinstance(found, np.ma.MaskedArray)
        np.testing.assert_array_equal(found.mask, masked.mask)
        np.testing.assert_array_equal(found.compressed(), masked.compressed())
        assert file["m"][1] is np.ma.masked
        copied = write_ours(tmp_path / "b.asdf", {"m": file["m"], "n": masked})
    with tegula.asdf.open(copied) as file, library.open(copied) as theirs:
        for key in ("m", "n"):
            np.testing.assert_array_equal(file[key][...].mask, masked.mask)
            np.testing.assert_array_equal(np.ma.getmaskarray(theirs[key][...]), masked.mask)


def test_masks_given_as_values(tmp_path):
    path = tmp_path / "a.asdf"
    array = "!core/ndarray-1.1.0 {source: 0, datatype: float64, byteorder: little, shape: [3], mask: %s}"
    write_ours(path, {"a": np.array([1.0, 5.0, np.nan])})
    head, _, blocks = path.read_bytes().partition(b"\xd3BLK")
    head = b"#ASDF 1.0.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
    tree = f"five: {array % 5.0}\nnan: {array % '.nan'}\nnone: {array % 'null'}\n...\n"
    path.write_bytes(head + tree.encode() + b"\xd3BLK" + blocks)
    with tegula.asdf.open(path) as file:
        assert file["five"][...].mask.tolist() == [False, True, False]
        assert file["nan"][...].mask.tolist() == [False, False, True]
        assert not isinstance(file["none"][...], np.ma.MaskedArray)


@pytest.mark.parametrize("compression", [None, "zlib", "bzp2", "lz4"])
@pytest.mark.parametrize("name", trees())
def test_the_library_reads_our_files(tmp_path, name, compression):
    if compression == "lz4":
        pytest.importorskip("lz4")
    tree = trees()[name]
    path = write_ours(tmp_path / "a.asdf", tree, all_array_compression=compression)
    with peer().open(path, lazy_load=False, validate_checksums=True) as file:
        for key, expected in tree.items():
            same(np.asarray(file[key]), expected)
            assert np.asarray(file[key]).dtype == expected.dtype


def plain_tree():
    zone = dt.timezone(dt.timedelta(hours=-5, minutes=-30))
    return {
        "big": 2**70,
        "negative": -(2**65),
        "limits": [2**63 - 1, -(2**63) + 2],
        "complex": 1 - 2.5j,
        "floats": [0.1, 1e300, -0.0, float("inf"), 5e-324],
        "strings": ["yes", "1e5", "0x1", "", " a ", "a: b", "é\n\u2028", "#", "null", "2020-01-01", "12:30"],
        "none": None,
        "bools": [True, False],
        "when": dt.datetime(2020, 1, 2, 3, 4, 5, 600),  # noqa: DTZ001 - without a zone
        "zoned": dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=zone),
        "day": dt.date(2020, 1, 2),
        "bytes": b"\0\xff",
        "keys": {7: "seven", True: "yes", "": "empty"},
        "empty": [{}, []],
    }


def test_plain_data_both_ways(tmp_path):
    tree = plain_tree()
    ours = write_ours(tmp_path / "ours.asdf", tree)
    with tegula.asdf.open(ours) as file, peer().open(ours) as theirs:
        for key, expected in tree.items():
            assert file[key] == expected
            assert theirs[key] == expected
    theirs = {key: value for key, value in tree.items() if key not in ("big", "negative")}
    theirs["integer"] = peer().IntegerType(-(2**70))
    with tegula.asdf.open(write_theirs(tmp_path / "theirs.asdf", theirs)) as file:
        assert file["integer"] == -(2**70)
        for key, expected in tree.items():
            assert file.tree.get(key, expected) == expected
        assert file.version == "1.6.0"
        assert file.history["extensions"]


def test_numpy_scalars_and_tuples(tmp_path):
    tree = {"f": np.float32(1.5), "i": np.int16(-3), "b": np.bool_(True), "c": np.complex64(1j), "s": np.str_("a")}
    path = write_ours(tmp_path / "a.asdf", {**tree, "t": (1, (2,)), "set": {1}})
    with tegula.asdf.open(path) as file:
        assert {key: file[key] for key in tree} == tree
        assert file["t"] == [1, [2]]
        assert file["set"] == {1}


def test_identity_is_kept(tmp_path):
    shared, loop = {"a": np.arange(3)}, [1]
    loop.append(loop)
    path = write_ours(tmp_path / "a.asdf", {"x": shared, "y": [shared], "loop": loop})
    with tegula.asdf.open(path) as file:
        assert file["x"] is file["y"][0]
        assert file["loop"][1] is file["loop"]
        assert len(file.blocks) == 1
    with peer().open(path) as file:
        assert file["x"]["a"] is file["y"][0]["a"]


def test_aligned_records_are_packed(tmp_path):
    aligned = np.zeros(3, np.dtype([("a", "u1"), ("b", "f8")], align=True))
    aligned["b"] = [1, 2, 3]
    with peer().open(write_ours(tmp_path / "a.asdf", {"r": aligned}), lazy_load=False) as file:
        assert file["r"]["b"].tolist() == [1, 2, 3]


def test_what_cannot_be_written(tmp_path):
    deep: list = []
    for _ in range(2000):
        deep = [deep]
    for value in (object(), np.array([object()]), np.zeros(1, "M8[s]"), np.longdouble(1), {1.5: 1}, deep, len):
        with pytest.raises(tegula.UnsupportedError):
            write_ours(tmp_path / "a.asdf", {"x": value})
        assert not list(tmp_path.iterdir())
    with pytest.raises(tegula.UnsupportedError, match="zlib, bzp2, lz4"):
        write_ours(tmp_path / "a.asdf", {}, all_array_compression="middle-out")


def test_unknown_tags_are_kept(tmp_path):
    tag = "asdf://example.org/tags/thing-1.0.0"
    tree = {
        "d": tegula.asdf.TaggedDict(tag, {"a": np.arange(3)}),
        "l": tegula.asdf.TaggedList(tag, [1]),
        "s": tegula.asdf.TaggedString("m / s", "tag:stsci.edu:asdf/unit/unit-1.0.0"),
    }
    with tegula.asdf.open(write_ours(tmp_path / "a.asdf", tree)) as file:
        for key, expected in tree.items():
            assert type(file[key]) is type(expected)
            assert file[key].tag == expected.tag
        assert file["l"] == [1]
        assert file["s"] == "m / s"
        again = write_ours(tmp_path / "b.asdf", file.tree)
    with tegula.asdf.open(again) as file:
        assert file["d"].tag == tag
        same(file["d"]["a"], np.arange(3))
    for value in tree.values():
        twin = pickle.loads(pickle.dumps(value)) if isinstance(value, str) else copy.copy(value)
        assert (type(twin), twin.tag) == (type(value), value.tag)


def test_yaml_runs_no_code(tmp_path):
    path = tmp_path / "a.asdf"
    path.write_bytes(b"#ASDF 1.0.0\n%YAML 1.1\n--- \nx: !!python/object/apply:os.getcwd []\n...\n")
    with tegula.asdf.open(path) as file:
        assert type(file["x"]) is tegula.asdf.TaggedList


def test_mapped_arrays_are_views(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"a": np.arange(12.0).reshape(3, 4), "be": np.arange(3, dtype=">i4")})
    array = tegula.asdf.open(path)["a"]
    view = array[1:]
    with pytest.raises(tegula.InvalidSelectionError):
        _ = array[3]
    assert not view.flags.owndata
    assert not view.flags.writeable
    assert np.shares_memory(array[...], np.asarray(array))
    assert np.asarray(array, copy=True).flags.writeable
    # Elements in the other byte order are read.
    assert tegula.asdf.open(path)["be"][...].dtype == np.dtype("=i4")
    copied = tegula.asdf.open(path, memmap=False)["a"][...]
    assert copied.flags.owndata
    # Reads never mix a replaced file with its replacement.
    array = tegula.asdf.open(path)["a"]
    write_ours(path, {"b": np.zeros(100)})
    assert array[2, 3] == 11
    assert view[1, 3] == 11


def test_arrays_outlive_the_file(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"a": np.arange(5), "z": tegula.asdf.chunked(np.arange(6), chunks=2)})
    with tegula.asdf.open(path) as file:
        arrays = file["a"], file["z"]
    path.unlink()
    same(arrays[0].with_options(concurrent_target=1), np.arange(5))
    same(arrays[1], np.arange(6))


def test_nothing_is_read_before_it_is_used(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"a": np.arange(5), "b": np.arange(3)})
    head, magic, blocks = path.read_bytes().partition(b"\xd3BLK")
    path.write_bytes(head.replace(b"source: 0", b"source: 9") + magic + blocks)
    with tegula.asdf.open(path) as file:
        assert (file["a"].shape, file["a"].dtype) == ((5,), np.int64)
        assert "a.asdf#a" in repr(file["a"])
        same(file["b"], np.arange(3))
        with pytest.raises(tegula.Error, match=r"a\.asdf#a: .*no block 9"):
            file["a"][...]


def test_cutouts_read_little(tmp_path):
    tree = {
        "plain": np.zeros((1000, 1000), "f4"),
        "zarr": tegula.asdf.chunked(np.ones((1000, 1000), "f4"), chunks=(100, 100), compressor=None),
    }
    with tegula.asdf.open(write_ours(tmp_path / "a.asdf", tree)) as file:
        plain = file["plain"].explain(np.s_[30:60, 90:120])
        assert plain.bytes_wanted == 3600
        assert plain.bytes_read <= 30 * 4000
        zarr = file["zarr"].explain(np.s_[30:60, 110:140])
        assert (zarr.chunks, zarr.missing_chunks) == (1, 0)
        assert zarr.bytes_read <= 100 * 100 * 4


def test_threads_read_the_right_values(tmp_path):
    arrays = [np.full(100, i, "f8") for i in range(200)]
    for options, memmap in (({}, True), ({}, False), ({"all_array_compression": "zlib"}, False)):
        path = write_ours(tmp_path / "a.asdf", {"arrays": arrays}, **options)
        for _ in range(3):
            file = tegula.asdf.open(path, memmap=memmap)
            with ThreadPoolExecutor(8) as pool:
                right = pool.map(
                    lambda i, file=file: bool((file["arrays"][i % 200][...] == i % 200).all()), range(1000)
                )
                assert all(right)


def test_arrays_and_files_pickle(tmp_path):
    tree = {"deep": {"a": np.arange(5), "a/b": np.arange(3)}, "r": records()}
    file = tegula.asdf.open(write_ours(tmp_path / "a.asdf", tree))
    for array in (file["deep"]["a"], file["deep"]["a/b"], file["r"]):
        twin = pickle.loads(pickle.dumps(array))
        same(twin, array[...])
        assert twin.name == array.name
    assert list(pickle.loads(pickle.dumps(file))) == list(file)
    dumped = pickle.dumps(file["deep"]["a"])
    write_ours(tmp_path / "a.asdf", {"x": 1})
    with pytest.raises(tegula.NotFoundError):
        pickle.loads(dumped)


def test_arrays_by_path(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"sci": [{"data": np.arange(6).reshape(2, 3)}], "x": 1})
    same(tegula.open_array(f"{path}#sci/0/data"), np.arange(6).reshape(2, 3))
    same(tegula.open(f"{path}#sci/-1/data"), np.arange(6).reshape(2, 3))
    with pytest.raises(tegula.NotFoundError, match="open_asdf"):
        tegula.open_array(path)
    for node in ("nothing", "sci", "x"):
        with pytest.raises(tegula.NotFoundError, match=node):
            tegula.open_array(f"{path}#{node}")
    with pytest.raises(tegula.NotFoundError):
        tegula.open_asdf(tmp_path / "nothing.asdf")
    assert isinstance(tegula.open_asdf(path), tegula.AsdfFile)


def test_files_in_stores(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"a": np.arange(5)})
    store = tegula.MemoryStore({"folder/a.asdf": path.read_bytes()})
    with tegula.asdf.open(store, "folder/a.asdf") as file:
        same(file["a"], np.arange(5))
        same(pickle.loads(pickle.dumps(file["a"])), np.arange(5))


def test_references(tmp_path):
    (tmp_path / "sub").mkdir()
    write_ours(tmp_path / "sub" / "b.asdf", {"x": [{"data": np.arange(3)}], "back": tegula.asdf.Reference("b.asdf#/x")})
    ref = tegula.asdf.Reference
    tree = {
        "a": [1, 2],
        "near": ref("#/a"),
        "item": ref("#/a/1"),
        "far": ref("sub/b.asdf#/x/0"),
        "far2": ref("sub/b.asdf#/back"),
        "list": [ref("#/near")],
    }
    path = write_ours(tmp_path / "a.asdf", tree)
    with tegula.asdf.open(path) as file:
        assert file["near"] is file["a"]
        assert file["list"][0] is file["a"]
        assert file["item"] == 2
        assert file["far"] == ref("sub/b.asdf#/x/0")
        same(file["far"].resolve()["data"], np.arange(3))
        file.resolve_references()
        same(file["far"]["data"], np.arange(3))
        assert file["far2"][0]["data"].path == "x/0/data"
    for uri in ("../a.asdf", "/etc/a.asdf", "http://example.org/a.asdf"):
        with tegula.asdf.open(write_ours(path, {"x": ref(uri)})) as file, pytest.raises(tegula.UnsupportedError):
            file.resolve_references()
    for uri in ("#/nothing", "nothing.asdf#/x"):
        with tegula.asdf.open(write_ours(path, {"x": ref(uri)})) as file, pytest.raises(tegula.NotFoundError):
            file["x"].resolve()


def test_resaving_copies_blocks(tmp_path):
    tree = {"a": np.arange(100_000), "deep": [np.arange(5.0)]}
    path = write_ours(tmp_path / "a.asdf", tree, all_array_compression="zlib")
    with tegula.asdf.open(path) as file:
        file["new"] = np.arange(3)
        del file["deep"]
        file.update()
        assert "deep" not in file
    with tegula.asdf.open(path) as file:
        assert [block["compression"] for block in file.blocks] == ["zlib", ""]
        same(file["a"], tree["a"])
        same(file["new"], np.arange(3))


def test_info_and_search(tmp_path, capsys):
    tree = {"sci": {"flux": np.arange(6.0).reshape(2, 3), "unit": "Jy"}, "list": list(range(40)), "name": "a" * 500}
    with tegula.asdf.open(write_ours(tmp_path / "a.asdf", tree)) as file:
        file.info()
        text = capsys.readouterr().out
        assert "flux (AsdfArray: shape=(2, 3), dtype=float64)" in text
        assert "unit (str): Jy" in text
        assert len(text.splitlines()) <= 26
        assert max(map(len, text.splitlines())) <= 120
        assert len(file.format_tree(None).splitlines()) > 45
        found = file.search("flux")
        assert found.paths == ["root['sci']['flux']"]
        assert found.node is file["sci"]["flux"]
        assert file.search(value="^Jy$").path == "root['sci']['unit']"
        assert len(file.search(type_=int)) == 40
        assert file.search(filter_=lambda node, key: key == 3 and node == 3).node == 3
        assert file.search("nothing").node is None
        with pytest.raises(LookupError):
            _ = file.search(type_=int).node
        loop = tegula.asdf.AsdfFile()
        loop["self"] = [loop.tree]
        loop.info()
        assert len(loop.search()) == 2


def test_legacy_defaults(tmp_path):
    path = tmp_path / "a.asdf"
    head = "#ASDF 1.0.0\n#ASDF_STANDARD %s\n%%YAML 1.1\n%%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
    tree = "column: !core/column-1.0.0 {name: x}\n...\n"
    for standard, expected in (("1.5.0", {"name": "x", "description": "", "meta": {}}), ("1.6.0", {"name": "x"})):
        path.write_text(head % standard + tree)
        assert tegula.asdf.open(path, legacy_defaults=True)["column"] == expected
        assert tegula.asdf.open(path)["column"] == {"name": "x"}


def test_comments_and_versions(tmp_path):
    path = tmp_path / "a.asdf"
    path.write_text("#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n# a remark\n%YAML 1.1\n--- {a: 1}\n...\n")
    with tegula.asdf.open(path) as file:
        assert file.comments == [" a remark"]
        assert (file.version, file.file_format_version) == ("1.5.0", "1.0.0")
        assert file.uri == str(path)
    assert tegula.asdf.AsdfFile().version == "1.6.0"


def test_every_truncation_is_an_error(tmp_path):
    tree = {"a": np.arange(50), "z": tegula.asdf.chunked(np.arange(40), chunks=10)}
    path = write_ours(tmp_path / "a.asdf", tree, all_array_compression="zlib")
    whole = path.read_bytes()
    end = whole.index(b"#ASDF BLOCK INDEX")
    # A shorter file has no tree, which is allowed.
    for length in (*range(whole.index(b"%YAML") + 5, end, 7), end - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(tegula.Error):  # noqa: PT012 - any of these
            file = tegula.asdf.open(path)
            for array in (file["a"], file["z"]):
                _ = array[...]
            raise tegula.Error(f"{length} of {end} bytes were enough") if length > end - 12 else AssertionError(length)


def test_wrong_sizes_are_errors(tmp_path):
    path = write_ours(tmp_path / "a.asdf", {"a": np.arange(50)}, all_array_compression="zlib")
    whole = path.read_bytes()
    magic = whole.index(b"\xd3BLK")
    for offset in (14, 22, 30):
        for size in (0, 1, 399, 1 << 40, (1 << 64) - 1):
            path.write_bytes(whole[: magic + offset] + struct.pack(">Q", size) + whole[magic + offset + 8 :])
            array = tegula.asdf.open(path)["a"]
            try:
                same(array, np.arange(50))
            except tegula.Error:
                continue
            # The allocated size of the last block may be larger than needed.
            assert offset == 14
