"""The command line, run as a user runs it."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tegula
from tegula._cli import main, picture, region

DATA = Path(__file__).parent / "data"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("tegula: ")
    assert err.count("\n") == 1
    return err


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tegula", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, np.ndarray]:
    values = np.arange(40 * 60, dtype="f4").reshape(40, 60)
    values[3, 4] = np.nan
    array = tegula.create_array(
        tmp_path / "image.zarr",
        shape=(40, 60),
        dtype="float32",
        chunks=(4, 6),
        shards=(20, 30),
        dimension_names=["y", "x"],
    )
    array[...] = values
    return tmp_path / "image.zarr", values


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"tegula {tegula.__version__}\n"
    assert command("--version").stdout == f"tegula {tegula.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["info"],
        ["cutout", "a.zarr"],
        ["cutout", "a.zarr", "1:x"],
        ["cutout", "a.zarr", "::0"],
        ["cutout", "a.zarr", "...,..."],
        ["cutout", "a.zarr", ":", "-o", "out.gif"],
        ["cutout", "a.zarr", ":", "--percent", "60"],
    ],
)
def test_misuse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: tegula" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", (5,)),
        ("-1,...", (-1, ...)),
        ("1000:1064, ::-2", (slice(1000, 1064), slice(None, None, -2))),
        ("[:,3:]", (slice(None), slice(3, None))),
        ("2:,", (slice(2, None),)),
    ],
)
def test_regions(text: str, expected: object) -> None:
    assert region.parse(text) == expected
    assert region.parse(region.written(region.parse(text))) == expected


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "1,,2", "1.5", "::0"])
def test_invalid_regions(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        region.parse(text)


def test_info_of_an_array(image: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "info", image[0])
    for text in (
        "(40, 60)",
        "float32",
        "y, x",
        "(20, 30)",
        "(4, 6)",
        "sharding_indexed",
        "4 shards with 100 inner chunks",
    ):
        assert text in out
    facts = json.loads(run(capsys, "info", image[0], "--json"))
    assert facts["shape"] == [40, 60]
    assert facts["shards"] == [20, 30]
    assert facts["stored_chunks"] == 4


@pytest.mark.parametrize("case", ["zarr3/v3-group", "zarr3/v2-group", "zarr2/v2-consolidated"])
def test_info_of_a_group(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "info", DATA / f"{case}.zarr")
    assert [line.split()[1:3] for line in out.splitlines() if "science" in line] == [["science", "group,"]]
    assert "image  (7,) float32" in out
    assert "image" not in run(capsys, "info", DATA / f"{case}.zarr", "--depth", 1)
    tree = json.loads(run(capsys, "info", DATA / f"{case}.zarr", "--json"))
    assert sorted(tree["children"]["science"]["children"]) == ["image", "mask"]
    assert "(7,)" in run(capsys, "info", DATA / f"{case}.zarr/science/image")


def test_info_reads_every_fixture(capsys: pytest.CaptureFixture[str]) -> None:
    for store in sorted(DATA.glob("*/*.zarr")):
        run(capsys, "info", store)
        json.loads(run(capsys, "info", store, "--json"))


def test_info_of_asdf(capsys: pytest.CaptureFixture[str]) -> None:
    for file in sorted(DATA.glob("*/*.asdf")):
        run(capsys, "info", file)
        json.loads(run(capsys, "info", file, "--json"))
    assert "(20, 17) int16" in run(capsys, "info", DATA / "asdf_zarr/several.asdf")
    out = run(capsys, "info", DATA / "asdf_zarr/several.asdf#dq")
    assert "(8, 8)" in out
    assert "asdf_library" not in run(capsys, "info", DATA / "asdf/nested.asdf")
    assert "extension_class" in run(capsys, "info", DATA / "asdf/nested.asdf#history")
    assert "deep" in run(capsys, "info", DATA / "asdf/nested.asdf#roman/meta")


def test_cutout(image: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, values = image
    out = run(capsys, "cutout", path, "2:12,-20:-4:3", "-o", tmp_path / "a.npy", "--explain")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values[2:12, -20:-4:3])
    assert "10 x 6" in out
    assert "inner chunks" in out
    facts = json.loads(run(capsys, "cutout", path, "3,4", "--json"))
    assert facts["shape"] == []
    assert facts["not_finite"] == 1
    assert facts["read"]["inner_chunks"] == 1
    assert json.loads(run(capsys, "cutout", path, "-3:,-1", "--json"))["shape"] == [3]
    run(capsys, "cutout", path, "...", "-o", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_cutout_of_asdf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file, key in (("asdf_zarr/several", "sci"), ("asdf_zarr/several", "array"), ("asdf/nested", "roman/data")):
        run(capsys, "cutout", DATA / f"{file}.asdf#{key}", "2:7,::2", "-o", tmp_path / "a.npy", "--explain")
        expected = np.load(DATA / f"{file}@{key.replace('/', '+')}.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected[2:7, ::2])


def test_masked_elements_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"{DATA / 'asdf/masked.asdf'}#masked"
    values = np.load(DATA / "asdf/masked@masked.npy")
    mask = np.load(DATA / "asdf/masked@masked.mask.npy")
    facts = json.loads(run(capsys, "cutout", source, "...", "-o", tmp_path / "a.npy", "--json"))
    assert facts["max"] == values[~mask].max()
    assert facts["masked"] == mask.sum()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[~mask], values[~mask])
    run(capsys, "cutout", source, "...", "-o", tmp_path / "a.png")


def test_errors_are_one_line(
    image: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = image
    assert "nothing.zarr" in fails(capsys, "info", tmp_path / "nothing.zarr")
    assert "60" in fails(capsys, "cutout", path, "0,60")
    fails(capsys, "cutout", path, "0,0,0")
    assert "two axes" in fails(capsys, "cutout", path, "0", "-o", tmp_path / "a.png")
    assert "not an array" in fails(capsys, "cutout", DATA / "zarr3/v3-group.zarr", "0")
    fails(capsys, "cutout", path, "...", "-o", tmp_path / "none" / "a.npy")
    tegula.create_array(tmp_path / "vast.zarr", shape=(2**40, 2**20), dtype="uint8", chunks=(8, 8))
    assert "too large" in fails(capsys, "cutout", tmp_path / "vast.zarr", "...")
    assert "1 x 3" in run(capsys, "cutout", tmp_path / "vast.zarr", "-1:,:3", "--explain")
    (tmp_path / "bad.asdf").write_bytes(b"#ASDF 1.0.0\n%YAML 1.1\n--- {")
    fails(capsys, "info", tmp_path / "bad.asdf")
    assert "dq, sci" in fails(capsys, "info", DATA / "asdf_zarr/several.asdf#sky")


def test_a_closed_pipe_is_no_error(image: tuple[Path, np.ndarray]) -> None:
    read, write = os.pipe()
    os.close(read)
    line = [sys.executable, "-m", "tegula", "info", str(image[0])]
    ended = subprocess.run(line, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_plain_text_where_there_is_no_unicode() -> None:
    ended = command("info", DATA / "zarr3/v3-group.zarr", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0, ended.stderr
    assert "`-- weights" in ended.stdout


def test_pictures() -> None:
    values = np.linspace(-1, 1, 200).reshape(10, 20)
    values[0, 0] = np.nan
    values[0, 1] = np.inf
    gray = picture.pixels(values)
    assert gray.shape == (10, 20)
    assert gray[0, 0] == 0
    assert (gray.min(), gray.max()) == (0, 255)
    assert (picture.pixels(values, "asinh") >= gray).all()
    assert picture.pixels(np.full((3, 4), np.nan)).max() == 0
    assert picture.pixels(np.full((3, 4), 7)).shape == (3, 4)
    assert picture.pixels(values[None, ..., None]).shape == (10, 20)
    assert picture.pixels(np.stack([values] * 3)).shape == (10, 20, 3)
    color = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype="u1")
    np.testing.assert_array_equal(picture.pixels(color), color)
    for bad in (np.zeros(3), np.zeros((2, 3, 4, 5)), np.zeros((0, 4))):
        with pytest.raises(tegula.InvalidSelectionError):
            picture.pixels(bad)
    with pytest.raises(tegula.UnsupportedError):
        picture.pixels(np.zeros((3, 4), "c8"))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1)])
def test_png_files_are_read_by_pillow(shape: tuple[int, ...], tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype="u1")
    picture.write_png(tmp_path / "a.png", pixels)
    with pillow.open(tmp_path / "a.png") as read:
        np.testing.assert_array_equal(np.asarray(read), pixels)


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    out = run(capsys, "demo", "--small", "--folder", "try it")
    assert "equal" in out
    assert (tmp_path / "try it" / "hubble-cutout.png").read_bytes().startswith(b"\x89PNG")
    tried = out.partition("Try next")[2].strip().splitlines()
    assert len(tried) > 2
    for line in tried:
        bin_ = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"}
        ended = subprocess.run(line.strip(), shell=True, capture_output=True, text=True, check=False, env=environment)
        assert (ended.returncode, ended.stderr) == (0, ""), line


def test_errors_name_flags_and_not_arguments_of_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")
    group = tegula.create_group(source)
    group.create_array("x", data=np.zeros((100, 100)))
    tegula.copy(source, target)
    for arguments, flag in (
        (["copy", source, target], "--overwrite"),
        (["copy", source, f"{target}2", "--chunks", "10,10"], "without --chunks"),
        (["copy", f"{source}/x", f"{target}2", "--chunks", "50,50", "--max-memory", "100"], "--max-memory"),
    ):
        assert main(arguments) == 1
        message = capsys.readouterr().err
        assert flag in message
        assert not re.search(r"overwrite=|max_memory|tegula\.copy", message)


def test_a_folder_of_stores_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tegula.create_array(tmp_path / "a.zarr", shape=(2,), dtype="i4")
    tegula.create_group(tmp_path / "b.zarr", zarr_format=2)
    tegula.AsdfFile({"x": 1}).write_to(tmp_path / "c.asdf")
    (tmp_path / "empty").mkdir()
    assert main(["info", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "folder of stores" in message
    assert [name for name in ("a.zarr", "b.zarr", "c.asdf", "empty") if name in message] == [
        "a.zarr",
        "b.zarr",
        "c.asdf",
    ]
    assert main(["info", str(tmp_path / "empty")]) == 1
    assert "no array or group" in capsys.readouterr().err
