"""Zarr arrays in ASDF files, written by tegula and by asdf-zarr (in tests/data)."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

import tegula
import tegula.asdf

DATA = Path(__file__).parent / "data" / "asdf_zarr"


def write(path, tree) -> Path:
    tegula.asdf.AsdfFile(tree).write_to(path)
    return path


def elements() -> np.ndarray:
    return np.arange(17 * 23, dtype="int16").reshape(17, 23)


@pytest.mark.parametrize("compressor", [None, "zstd:1", "zlib:6", "bz2:1", "blosc:lz4:5:shuffle", "lz4"])
@pytest.mark.parametrize("dtype", ["<i2", ">f4", "c8", "?"])
def test_chunked(tmp_path, compressor, dtype):
    expected = elements().astype(dtype)
    array = tegula.asdf.chunked(expected, chunks=(5, 7), compressor=compressor, attributes={"unit": "s"})
    with tegula.asdf.open(write(tmp_path / "a.asdf", {"z": array}), validate_checksums=True) as file:
        found = file["z"]
        assert found.is_zarr
        assert (found.chunks, found.attrs) == ((5, 7), {"unit": "s"})
        np.testing.assert_array_equal(found[...], expected)
        np.testing.assert_array_equal(found[4:12:3, ::-2], expected[4:12:3, ::-2])
        np.testing.assert_array_equal(found.retrieve_chunk((3, 3))[:2, :2], expected[15:, 21:])


@pytest.mark.parametrize("layout", ["plain", "zstd", "sharded", "transposed", "blosc"])
def test_arrays_of_zarr_v3(tmp_path, layout):
    properties = {
        "plain": {"compressors": None},
        "zstd": {"compressors": "zstd:1"},
        "sharded": {"shards": (10, 14), "compressors": ["zstd:1", "crc32c"]},
        "transposed": {"filters": {"name": "transpose", "configuration": {"order": [1, 0]}}},
        "blosc": {"compressors": "blosc:zstd:5:bitshuffle"},
    }[layout]
    array = tegula.create_array({}, shape=(17, 23), chunks=(5, 7), dtype="int16", fill_value=3, **properties)
    array[:10, :14] = elements()[:10, :14]
    with tegula.asdf.open(write(tmp_path / "a.asdf", {"z": array})) as file:
        np.testing.assert_array_equal(file["z"][...], array[...])
        # Missing chunks stay missing.
        assert len(file.blocks) == 4 + 1
        assert file["z"].fill_value == 3
    tegula.asdf.AsdfFile({"z": array}).write_to(tmp_path / "b.asdf", keep_zarr_v3=True)
    with tegula.asdf.open(tmp_path / "b.asdf") as file:
        assert (file["z"].zarr_format, file["z"].shards) == (3, array.shards)
        np.testing.assert_array_equal(file["z"][...], array[...])
        with tegula.asdf.open(write(tmp_path / "c.asdf", file.tree)) as again:
            assert again["z"].shards == array.shards
            np.testing.assert_array_equal(again["z"][...], array[...])


def test_parts_of_shards_are_read_alone(tmp_path):
    array = tegula.create_array(
        {}, shape=(100, 100), chunks=(10, 10), shards=(100, 100), dtype="u1", compressors=None, fill_value=9
    )
    array[...] = 1
    tegula.asdf.AsdfFile({"z": array}).write_to(tmp_path / "a.asdf", keep_zarr_v3=True)
    with tegula.asdf.open(tmp_path / "a.asdf") as file:
        explanation = file["z"].explain(np.s_[:5, :5])
        assert (explanation.chunks, explanation.inner_chunks) == (1, 1)
        assert explanation.bytes_read - explanation.index_bytes <= 100


def test_several_arrays_in_one_file(tmp_path):
    z = tegula.asdf.chunked(elements(), chunks=(5, 7))
    y = tegula.asdf.chunked(np.zeros((4, 4)), chunks=(2, 2))
    tree = {"a": np.arange(3), "z": z, "b": [np.arange(4), z], "y": y, "point": tegula.asdf.chunked(np.float64(1.5))}
    with tegula.asdf.open(write(tmp_path / "a.asdf", tree)) as file:
        assert file["z"] is file["b"][1]
        assert file["point"][()] == 1.5
        assert not file["y"][...].any()
        assert file["y"].retrieve_chunk_if_exists((0, 0)) is None
        copied = write(tmp_path / "b.asdf", file.tree)
    with tegula.asdf.open(copied) as file:
        np.testing.assert_array_equal(file["z"][...], elements())
        np.testing.assert_array_equal(file["b"][0][...], np.arange(4))


def test_written_files_are_those_of_asdf_zarr(tmp_path):
    """The tree and the map are those that asdf-zarr writes. Version 0.0.4 was checked to read them."""
    array = tegula.create_array({}, shape=(7, 9), chunks=(4, 4), dtype="<i2", compressors=None, zarr_format=2)
    array[:4, :4] = 1
    array[4:, 8:] = 2
    with tegula.asdf.open(write(tmp_path / "a.asdf", {"first": np.zeros(1), "z": array})) as file:
        assert file._source.native.block(3) == struct.pack("<6i", 1, -1, -1, -1, -1, 2)
    text = (tmp_path / "a.asdf").read_bytes().partition(b"\xd3BLK")[0].decode()
    assert "!<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>" in text
    assert "chunk_block_map: 3" in text
    assert "dimension_separator" not in text


@pytest.mark.parametrize("name", ["plain", "holes", "all-fill", "several"])
def test_files_of_asdf_zarr_are_rewritten(tmp_path, name):
    with tegula.asdf.open(DATA / f"{name}.asdf") as file:
        keys = [key for key, value in file.items() if isinstance(value, tegula.Array)]
        copied = write(tmp_path / "a.asdf", file.tree)
        with tegula.asdf.open(copied, validate_checksums=True) as ours:
            for key in keys:
                np.testing.assert_array_equal(ours[key][...], np.load(DATA / f"{name}@{key}.npy"))


def test_external_stores_are_refused(tmp_path):
    path = tmp_path / "a.asdf"
    tree = "z: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0> {store: {type_string: FSStore, path: /etc}}"
    path.write_text(f"#ASDF 1.0.0\n%YAML 1.1\n---\n{tree}\n...\n")
    with tegula.asdf.open(path) as file, pytest.raises(tegula.UnsupportedError, match="FSStore"):
        _ = file["z"].shape


def test_arrays_of_files_cannot_be_written(tmp_path):
    path = write(tmp_path / "a.asdf", {"z": tegula.asdf.chunked(elements(), chunks=(5, 7)), "a": np.arange(4)})
    with tegula.asdf.open(path) as file:
        with pytest.raises(tegula.UnsupportedError, match="read-only"):
            file["z"][...] = 1
        with pytest.raises(tegula.UnsupportedError):
            file["a"].store_chunk((0,), np.zeros(4, int))


def test_stores_beside_the_file(tmp_path):
    array = tegula.create_array(tmp_path / "sub" / "z.zarr", data=elements(), chunks=(5, 7), zarr_format=2)
    text = "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n---\n"
    node = (
        "z: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>\n  store: {type_string: DirectoryStore, path: PATH}\n...\n"
    )
    for folder, path in [("sub", "z.zarr"), ("sub", "./z.zarr"), (".", "sub/z.zarr")]:
        (tmp_path / folder / "a.asdf").write_text(text + node.replace("PATH", path))
        with tegula.asdf.open(tmp_path / folder / "a.asdf") as file:
            np.testing.assert_array_equal(file["z"][3:, ::2], array[3:, ::2])
    (tmp_path / "a.asdf").write_text(text + node.replace("PATH", str(tmp_path / "sub" / "z.zarr")))
    with tegula.asdf.open(tmp_path / "a.asdf") as file, pytest.raises(tegula.Error, match="allow"):
        file["z"][...]
    with tegula.asdf.open(tmp_path / "a.asdf", allow_external=True) as file:
        again = pickle.loads(pickle.dumps(file["z"]))
        np.testing.assert_array_equal(again[...], elements())
