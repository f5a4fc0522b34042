"""Copies between Zarr V2 and V3 show the same in xarray."""

import numpy as np
import pytest

import tegula

xr = pytest.importorskip("xarray")


def dataset():
    found = xr.Dataset(
        {
            "packed": ("x", [1.5, np.nan, 3.0]),
            "plain": ("x", [0, 5, 7]),
            "float": (("y", "x"), [[0.0, np.nan, 2.0], [3.0, 4.0, 5.0]]),
            "masked": ("x", [1.0, np.nan, 2.0]),
            "flag": ("x", [True, False, True]),
            "text": ("x", ["a", "bc", ""]),
            "crs": ((), 0),
            "scalar": ((), 2.5),
            "time": ("x", np.array(["2020-01-01", "NaT", "2021-06-01"], "datetime64[ns]")),
        },
        coords={"x": [10, 20, 30], "y": [0.5, 1.5], "label": ("x", [1, 2, 3])},
        attrs={"title": "test"},
    )
    found.packed.encoding = {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -9999}
    found.masked.encoding = {"dtype": "f4", "_FillValue": -1.0}
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("old", "new"), [(2, 3), (3, 2)])
def test_datasets(old, new, tmp_path):
    dataset().to_zarr(tmp_path / "old", zarr_format=old, consolidated=False)
    tegula.copy(tmp_path / "old", tmp_path / "new", zarr_format=new)
    tegula.copy(tmp_path / "new", tmp_path / "back", zarr_format=old)
    was, now, back = (xr.open_zarr(tmp_path / name, consolidated=False).load() for name in ("old", "new", "back"))
    for found in (now, back):
        assert set(found.variables) == set(was.variables)
        assert set(found.coords) == set(was.coords)
        assert found.attrs == was.attrs
        for name, variable in was.variables.items():
            assert found[name].dims == variable.dims
            assert found[name].dtype.kind == variable.dtype.kind, name
            assert found[name].variable.equals(variable), name
            assert found[name].attrs == variable.attrs, name
    raw = xr.open_zarr(tmp_path / "new", consolidated=False, mask_and_scale=False)
    assert raw.packed.attrs["_FillValue"] == -9999
    assert "_FillValue" not in raw.plain.attrs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("old", "new"), [(2, 3), (3, 2)])
def test_single_arrays(old, new, tmp_path):
    dataset().to_zarr(tmp_path / "old", zarr_format=old, consolidated=False)
    tegula.create_group(tmp_path / "new", zarr_format=new)
    for name in ("packed", "plain", "crs", "x"):
        tegula.copy(tmp_path / "old" / name, tmp_path / "new" / name, zarr_format=new)
    was = xr.open_zarr(tmp_path / "old", consolidated=False)[["packed", "plain", "crs"]].drop_vars("label")
    now = xr.open_zarr(tmp_path / "new", consolidated=False)
    assert now[["packed", "plain", "crs"]].equals(was)


def test_missing_chunks_keep_their_value(tmp_path):
    array = tegula.create_array(
        tmp_path / "a",
        shape=(6,),
        chunks=(2,),
        dtype="i2",
        fill_value=7,
        dimension_names=["x"],
        attributes={"_FillValue": -1},
    )
    array[:2] = [-1, 3]
    copied = tegula.copy(array, tmp_path / "b", zarr_format=2)
    assert copied.metadata["fill_value"] == -1
    assert copied[...].tolist() == array[...].tolist() == [-1, 3, 7, 7, 7, 7]
    assert dict(copied.attrs) == {"_ARRAY_DIMENSIONS": ["x"]}
    again = tegula.copy(copied, tmp_path / "c", zarr_format=3)
    assert dict(again.attrs) == {"_FillValue": -1}
    assert again.dimension_names == ("x",)


def test_names_that_are_missing_are_kept(tmp_path):
    array = tegula.create_array(tmp_path / "a", shape=(2, 3), dtype="u1", dimension_names=["y", None])
    copied = tegula.copy(array, tmp_path / "b", zarr_format=2)
    assert copied.attrs["_ARRAY_DIMENSIONS"] == ["y", None]
    assert tegula.copy(copied, tmp_path / "c", zarr_format=3).dimension_names == ("y", None)
