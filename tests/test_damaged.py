"""One damaged member hides nothing else."""

import numpy as np
import pytest

import tegula


@pytest.fixture(params=[2, 3])
def path(request, tmp_path):
    root = tegula.create_group(tmp_path / "g", zarr_format=request.param)
    for name in ("a", "m/inside", "z", "y"):
        root.create_array(name, data=np.arange(4), chunks=(2,), compressors="zstd")
    metadata = tmp_path / "g" / "m" / ("zarr.json" if request.param == 3 else ".zgroup")
    metadata.write_text("")
    (tmp_path / "g" / "z" / ("c/1" if request.param == 3 else "1")).write_bytes(b"junk")
    attributes = tmp_path / "g" / "y" / ("zarr.json" if request.param == 3 else ".zattrs")
    attributes.write_text("[1]")
    return tmp_path / "g"


def test_members(path):
    root = tegula.open_group(path)
    assert set(root) == {"a", "m", "y", "z"}
    assert root.kinds()["m"] == "damaged"
    assert "m/inside" in root.members(recursive=True)
    text = str(root.tree())
    assert "damaged" in text
    assert "inside" in text
    assert "damaged     " in root.info
    with pytest.warns(tegula.DamagedWarning) as told:
        assert {name for name, _ in root.items()} == {"a", "z"}
    assert ["'m'" in str(told[0].message), "'y'" in str(told[1].message)] == [True, True]
    with pytest.warns(tegula.DamagedWarning):
        assert len(list(root.values())) == 2
    with pytest.warns(tegula.DamagedWarning):
        assert [name for name, _ in root.traverse()] == ["a", "m/inside", "z"]


def test_loads_and_copies_name_what_they_leave_out(path, tmp_path):
    with pytest.warns(tegula.DamagedWarning) as told:
        assert set(tegula.load(path)) == {"a", "m/inside"}
    assert {word for word in ("'m'", "'y'", "'z'") if any(word in str(one.message) for one in told)} == {
        "'m'",
        "'y'",
        "'z'",
    }
    with pytest.warns(tegula.DamagedWarning):
        copied = tegula.copy(path, tmp_path / "same")
    assert set(copied.members(recursive=True)) == {"a", "m", "m/inside", "z"}
    with pytest.warns(tegula.DamagedWarning) as told:
        copied = tegula.copy(path, tmp_path / "other", compressors="gzip")
    assert "'z'" in str(told[-1].message)
    assert set(copied.members(recursive=True)) == {"a", "m", "m/inside"}
    assert tegula.validate(tmp_path / "other").ok


def test_validation_names_all(path):
    found = tegula.validate(path)
    text = "\n".join(map(str, found.problems))
    for place in ("/m/", "/y/", "/z/"):
        assert place in text
    assert (found.arrays, found.chunks) == (3, 6)
    metadata = "zarr.json" if (path / "zarr.json").exists() else ".zgroup"
    (path / metadata).write_text("{")
    found = tegula.validate(path)
    assert found.arrays == 3
    assert any(problem.place == str(path) for problem in found.problems)


def test_shards_are_checked_in_little_memory(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "s"
    array = tegula.create_array(
        path, shape=(1 << 16, 1 << 16), dtype="u1", chunks=(1 << 10, 1 << 10), shards=(1 << 16, 1 << 16)
    )
    array[:2000, :2000] = 7
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert tegula.validate(path).ok
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
