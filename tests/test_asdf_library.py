"""tegula inside the asdf library: Zarr nodes, and compressions of blocks that it lacks."""

import warnings

import numpy as np
import pytest

import tegula
import tegula.asdf

asdf = pytest.importorskip("asdf")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def data():
    return np.arange(70 * 90, dtype="int32").reshape(70, 90)


def test_our_zarr_nodes_are_arrays_of_ours(tmp_path):
    ours = tegula.asdf.chunked(data(), chunks=(32, 32))
    tegula.asdf.AsdfFile({"a": {"b": ours}, "plain": data()}).write_to(tmp_path / "a.asdf")
    with asdf.open(tmp_path / "a.asdf") as file:
        array = file["a"]["b"]
        assert isinstance(array, tegula.Array)
        assert array.chunks == (32, 32)
        assert (array[33:40, ::7] == data()[33:40, ::7]).all()
        assert (file["plain"] == data()).all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_of_ours_are_written_as_zarr_nodes(tmp_path, zarr_format):
    shards = None if zarr_format == 2 else (64, 64)
    array = tegula.create_array(
        tmp_path / "a.zarr", shape=(70, 90), dtype="int32", chunks=(32, 32), shards=shards, zarr_format=zarr_format
    )
    array[:64] = data()[:64]
    asdf.AsdfFile({"a": array, "n": np.arange(5)}).write_to(tmp_path / "a.asdf")
    expected = np.where(np.arange(70)[:, None] < 64, data(), 0)
    with tegula.asdf.open(tmp_path / "a.asdf") as file:
        assert file["a"].is_zarr
        assert (file["a"][...] == expected).all()
        assert (file["n"][...] == np.arange(5)).all()
    with asdf.open(tmp_path / "a.asdf") as file:
        assert (file["a"][60:70, 80:] == expected[60:70, 80:]).all()
        file.write_to(tmp_path / "again.asdf")
    with tegula.asdf.open(tmp_path / "again.asdf") as file:
        assert (file["a"][...] == expected).all()


def test_arrays_of_zarr_python_are_written_as_zarr_nodes(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array({}, shape=(70, 90), dtype="int32", chunks=(32, 32), zarr_format=2)
    array[...] = data()
    asdf.AsdfFile({"a": array}).write_to(tmp_path / "a.asdf")
    with tegula.asdf.open(tmp_path / "a.asdf") as file:
        assert (file["a"][...] == data()).all()


@pytest.mark.parametrize("label", ["zstd", "blsc", "lz4f"])
def test_compressions_that_the_library_lacks(tmp_path, label):
    values = np.arange(300_000) // 7
    asdf.AsdfFile({"a": values}).write_to(tmp_path / "theirs.asdf", all_array_compression=label)
    with tegula.asdf.open(tmp_path / "theirs.asdf") as file:
        assert file.blocks[0]["compression"] == label
        assert file.blocks[0]["used_size"] < values.nbytes // 2
        assert (file["a"][...] == values).all()
    tegula.asdf.AsdfFile({"a": values}).write_to(tmp_path / "ours.asdf", all_array_compression=label)
    with asdf.open(tmp_path / "ours.asdf") as file:
        assert (file["a"] == values).all()
