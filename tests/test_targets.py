"""Targets: what the name of a file or folder says is written, `~` and variables, and guiding errors."""

import io
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tegula
from tegula import asdf

DATA = np.arange(24, dtype="i4").reshape(4, 6)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tegula.create_array("a.zarr", data=DATA, chunks=(2, 3), attributes={"unit": "Jy"})


KINDS = ["b.h5", "b.TIF", "b.fits", "b.nc", "b.parquet", "b.n5", "b.tar", "b.zarr.gz", "b.png", "b.csv", "b.json"]
ARRAYS = ["b.zip#a", "b.asdf/x", "b.npy/x", "b.h5/group/a", "x/b.h5", "file:///nowhere/b.h5", "s3://bucket/b.zarr.zip"]
VERBS = {
    "save": lambda to: tegula.save(to, DATA),
    "save a group": lambda to: tegula.save(to, {"a": DATA}),
    "copy": lambda to: tegula.copy("a.zarr", to),
    "rechunk": lambda to: tegula.rechunk("a.zarr", to, chunks=(4, 6)),
    "create_array": lambda to: tegula.create_array(to, shape=(4,), dtype="i4"),
    "create_group": lambda to: tegula.create_group(to),
    "open_array": lambda to: tegula.open_array(to, mode="w", shape=(4,), dtype="i4"),
    "open_group": lambda to: tegula.open_group(to, mode="a"),
    "open": lambda to: tegula.open(to, mode="w-"),
}


@pytest.mark.parametrize("name", [*KINDS, *ARRAYS])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.usefixtures("source")
def test_other_kinds_of_files_are_refused(verb, name):
    if verb == "open_group" and name.startswith("s3:"):
        return  # It may be there, so a server is asked first.
    with pytest.raises(tegula.UnsupportedError, match="cannot write"):
        VERBS[verb](name)
    assert sorted(os.listdir()) == ["a.zarr"]
    with pytest.raises(tegula.UnsupportedError, match="cannot write"):
        VERBS[verb](Path(name) if "://" not in name else name)


@pytest.mark.parametrize("name", ["c.asdf", "c.asdf#data", "c.npy", "c.npz"])
@pytest.mark.parametrize("verb", ["create_array", "create_group", "open_group"])
@pytest.mark.usefixtures("source")
def test_nodes_are_not_created_in_files(verb, name):
    with pytest.raises(tegula.UnsupportedError, match=r"tegula\.save|AsdfFile"):
        VERBS[verb](name)
    assert sorted(os.listdir()) == ["a.zarr"]


def test_a_folder_may_have_any_name(tmp_path):
    for name in ("b.h5", "b.zip", "b.npy"):
        (tmp_path / name).mkdir()
        tegula.save(tmp_path / name / "a", DATA)
        np.testing.assert_array_equal(tegula.load(tmp_path / name / "a"), DATA)


def test_numpy_files(source, tmp_path):
    with pytest.warns(UserWarning, match=r"attributes of .*a\.zarr are not written"):
        copied = tegula.copy(source, "b.npy")
    assert isinstance(copied, np.memmap)
    np.testing.assert_array_equal(np.load("b.npy"), DATA)
    np.testing.assert_array_equal(tegula.load("b.npy"), DATA)
    with pytest.raises(tegula.StoreError, match="already exists"):
        tegula.save("b.npy", DATA)
    done = []
    tegula.save("b.npy", DATA[:, :2], overwrite=True, progress=lambda *report: done.append(report))
    np.testing.assert_array_equal(np.load("b.npy"), DATA[:, :2])
    assert done[-1] == (32, 32)
    for odd in (np.float64(3), np.zeros((0, 3)), np.array([(1, "x")], [("a", "i2"), ("b", "U3")]), DATA[::-1, ::2]):
        tegula.save("c.npy", odd, overwrite=True)
        np.testing.assert_array_equal(np.load("c.npy"), odd)
    for refused in (np.array(["a", None], object), np.array(["a"], np.dtypes.StringDType())):
        with pytest.raises(tegula.UnsupportedError, match="NumPy files have no"):
            tegula.save("d.npy", refused)
    with pytest.raises(tegula.UnsupportedError, match="no chunks"):
        tegula.save("d.npy", DATA, chunks=(2, 2))
    with pytest.raises(tegula.UnsupportedError, match="holds one array"):
        tegula.save("d.npy", {"a": DATA})
    assert not os.path.exists("d.npy")
    tegula.save("new/e.npz", {"a": DATA, "b/c": DATA[0]})
    with np.load("new/e.npz") as read:
        assert sorted(read) == ["a", "b/c"]
    assert sorted(tegula.load("new/e.npz")) == ["a", "b/c"]
    tegula.save("g", {"a": DATA, "b/c": DATA[0]})
    np.testing.assert_array_equal(tegula.copy("g", "f.npz")["b/c"], DATA[0])
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".tegula")]


def test_asdf_files(source):
    made = tegula.copy(source, "b.asdf")
    assert made.attrs == {"unit": "Jy"}
    np.testing.assert_array_equal(tegula.open_array("b.asdf#data")[...], DATA)
    tegula.copy(source, "b.asdf#sci/image", compressors="gzip:1")
    tegula.rechunk(source, "b.asdf#sci/rows", chunks=(1, 6))
    tegula.save("b.asdf#sci/plain", DATA)
    with pytest.raises(tegula.StoreError, match=r"b\.asdf#sci/image already exists"):
        tegula.save("b.asdf#sci/image", DATA)
    tegula.save("b.asdf", DATA + 1, "sci/plain", overwrite=True)
    with asdf.open("b.asdf") as file:
        assert list(file["sci"]) == ["image", "rows", "plain"]
        assert file["sci"]["rows"].chunks == (1, 6)
        assert not file["sci"]["plain"].is_zarr
        np.testing.assert_array_equal(file["sci"]["plain"][...], DATA + 1)
        for name in ("image", "rows"):
            np.testing.assert_array_equal(file["sci"][name][...], DATA)
    with pytest.raises(tegula.StoreError, match="adds to it"):
        tegula.save("b.asdf", DATA)
    with pytest.raises(tegula.StoreError, match="not a mapping"):
        tegula.save("b.asdf#data/x/y", DATA)
    tegula.save("b.asdf", DATA, overwrite=True)
    with asdf.open("b.asdf") as file:
        assert list(file)[1:] == ["data"]


def test_groups_in_asdf_files(source):
    group = tegula.create_group("g", attributes={"telescope": "Roman"})
    group.create_group("sci", attributes={"band": 158}).create_array("image", data=DATA)
    tegula.copy(group, "g.asdf")
    with asdf.open("g.asdf") as file:
        assert (file["telescope"], file["sci"]["band"]) == ("Roman", 158)
        np.testing.assert_array_equal(file["sci"]["image"][...], DATA)
    tegula.save("g.asdf#more", {"a": DATA, "b/c": np.ma.array([1, 2], mask=[0, 1])})
    assert tegula.open_array("g.asdf#more/b/c")[...].mask.tolist() == [False, True]
    group.attrs["sci"] = 3
    with pytest.raises(tegula.StoreError, match="sci"):
        tegula.copy(group, "h.asdf")
    assert not os.path.exists("h.asdf")


def test_home_and_variables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.delenv("NONE", raising=False)
    for name, real in {
        "~/a.zarr": "home/a.zarr",
        "$DATA/b.zip": "data/b.zip",
        "${DATA}/c.npy": "data/c.npy",
        "$HOME/d.asdf": "home/d.asdf",
        Path("~/e.zarr"): "home/e.zarr",
        "~/f.zip": "home/f.zip",
    }.items():
        tegula.save(name, DATA)
        assert os.path.exists(real), name
        np.testing.assert_array_equal(tegula.load(f"{name}#data" if real.endswith("asdf") else name), DATA)
    assert tegula.open_asdf("~/d.asdf")["data"].shape == (4, 6)
    tegula.AsdfFile({"a": 1}).write_to("~/l.asdf")
    assert os.path.exists("home/l.asdf")
    with pytest.raises(tegula.UnsupportedError, match="upload"):
        tegula.AsdfFile({"a": 1}).write_to("s3://bucket/l.asdf")
    assert len(tegula.FilesystemStore("~/a.zarr")) == 2
    assert tegula.ZipStore("$DATA/b.zip").path == str(tmp_path / "data/b.zip")
    command = [sys.executable, "-m", "tegula", "copy", "$DATA/b.zip", "~/g.zarr"]
    subprocess.run(command, check=True, capture_output=True)
    assert tegula.open_array("home/g.zarr").shape == (4, 6)
    for to in ("~/h.npy", "~/i.asdf#sci/x", "~/j.zip", "~/k.zarr/a"):
        command = [sys.executable, "-m", "tegula", "copy", "~/d.asdf#data", to]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == f"copied {to}  96 bytes\n"
    command = [sys.executable, "-m", "tegula", "cutout", "~/a.zarr", "0:2", "--output=~/m.npy"]
    subprocess.run(command, check=True, capture_output=True)
    assert np.load("home/m.npy").shape == (2, 6)
    command[-1] = "--output=$NONE/m.npy"
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "variable NONE" in ended.stderr
    assert np.load("home/h.npy").shape == tegula.open_array("~/i.asdf#sci/x").shape == (4, 6)
    for name in ("$NONE/x", "${NONE}/x.zip", "~/$NONE.asdf"):
        for verb in (lambda name=name: tegula.save(name, DATA), lambda name=name: tegula.open(name)):
            with pytest.raises(tegula.NotFoundError, match="environment variable NONE"):
                verb()
    os.mkdir("$odd")
    tegula.save("$odd/x", DATA)
    assert sorted(os.listdir()) == ["$odd", "data", "home"]
    assert sorted(os.listdir("data")) == ["b.zip", "c.npy"]


def test_missing_nodes_are_explained(source):
    tegula.save("survey.zarr", {"flux": DATA, "flags": DATA})
    tegula.AsdfFile({"roman": {"data": DATA}}).write_to("f.asdf")
    tegula.save("z.zip", {"flux": DATA})
    np.save("n.npy", DATA)
    Path("h.h5").write_bytes(b"\x89HDF")
    os.symlink("gone", "dangling")
    os.mkdir("empty")
    for name, message in {
        "survey": r"did you mean survey\.zarr",
        "surwey.zarr": r"did you mean survey\.zarr",
        "survey.zarr/fluxx": "did you mean flux",
        "survey.zarr/other": "there are flags, flux",
        "z.zip/fluks": "did you mean flux",
        "f.asdf/roman/data": r'"f\.asdf#roman/data"',
        "n.npy": r"tegula\.load",
        "h.h5/a": "use h5py",
        "dangling": "link to gone",
        "empty": "empty",
        ".": r"contains a\.zarr, f\.asdf, survey\.zarr",
    }.items():
        for opened in (tegula.open, tegula.open_array, tegula.open_group):
            with pytest.raises(tegula.NotFoundError, match=message):
                opened(name)
    with pytest.raises(tegula.NotFoundError, match="did you mean flux"):
        tegula.open(tegula.MemoryStore(dict(tegula.FilesystemStore("survey.zarr"))), "fluxes")
    for group in (tegula.open_group("survey.zarr"), tegula.open_group("z.zip")):
        with pytest.raises(tegula.NotFoundError, match="did you mean flux"):
            group["Flux"]
    with pytest.raises(tegula.NotFoundError, match=r"there are flags, flux$"):
        tegula.open_group("survey.zarr")["other/x"]
    with pytest.raises(tegula.NotFoundError, match=r"is a group, not an array$"):
        tegula.open_array("survey.zarr")
    ended = subprocess.run([sys.executable, "-m", "tegula", "info", "."], capture_output=True, text=True, check=False)
    assert "a.zarr" in ended.stderr


def test_a_zip_archive_is_a_target_of_every_verb(source):
    tegula.save("s.zip", {"a": DATA, "b/c": DATA})
    tegula.copy(source, "c.zip")
    tegula.rechunk(source, "r.ozx", chunks=(4, 6))
    tegula.copy("s.zip", "n.zip/in/side")
    tegula.create_array("d.zip", data=DATA)
    for name, path in {"s.zip": "a", "c.zip": "", "r.ozx": "", "n.zip": "in/side/b/c", "d.zip": ""}.items():
        with zipfile.ZipFile(name) as archive:
            assert archive.testzip() is None
        np.testing.assert_array_equal(tegula.open_array(name, path)[...], DATA)
    with pytest.raises(tegula.StoreError, match="already exists"):
        tegula.save("s.zip", DATA)
    tegula.save("s.zip", DATA, "new/one", compressors=None)
    assert list(tegula.open_group("s.zip").members(recursive=True)) == ["a", "b", "b/c", "new", "new/one"]
    tegula.save("s.zip/a", DATA[:1], overwrite=True)
    assert tegula.open_array("s.zip/a").shape == (1, 6)
    with pytest.raises(tegula.StoreError, match="already exists"):
        tegula.save("s.zip/a", DATA)
    tegula.save("s.zip", DATA, overwrite=True)
    np.testing.assert_array_equal(tegula.open_array("s.zip")[...], DATA)
    with pytest.raises(tegula.UnsupportedError, match=r'not changed in place.*mode "a"'):
        tegula.open_array("s.zip")[0] = 1
    tegula.delete("s.zip")
    assert not os.path.exists("s.zip")


def test_errors_of_types_and_data_leave_no_files(source):
    before = sorted(os.listdir())
    for make in (
        lambda: tegula.save("x.zip", DATA, chunks=(9, 9, 9)),
        lambda: tegula.create_array("x.zip", shape=(4,)),
        lambda: tegula.save("y.zarr", {"a": DATA, "b": np.array([object()])}),
        lambda: tegula.save("z.zip", {"a": DATA, "b": np.array([object()])}),
        lambda: tegula.copy("a.zarr", "v.ozx", zarr_format=2),
        lambda: tegula.save("w.zip", DATA, progress=lambda *_: 1 / 0),
    ):
        with pytest.raises((tegula.Error, TypeError, ZeroDivisionError)):
            make()
    assert sorted(os.listdir()) == before


def test_a_failed_save_leaves_other_files_of_the_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "more.txt").write_text("mine")
    with pytest.raises(tegula.UnsupportedError):
        tegula.save(tmp_path, {"a/x": DATA, "b": np.array([object()])})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "a/more.txt", "notes.txt"]


def test_warnings_are_not_raised_for_plain_files(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tegula.copy(tegula.save(tmp_path / "a", DATA), tmp_path / "a.npy")
        assert np.load(io.BytesIO((tmp_path / "a.npy").read_bytes())).shape == (4, 6)
