"""Data that other implementations wrote (tests/data, made by make_fixtures.py), read whole and in part."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tegula

DATA = Path(__file__).parent / "data"
EXPECTED = sorted(DATA.glob("*/*.npy"))


def name(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def source(expected: Path, suffix: str) -> tuple[Path, str]:
    case, _, node = expected.stem.partition("@")
    return expected.with_name(case + suffix), node.replace("+", "/")


def check(array: Any, expected: np.ndarray) -> None:
    assert array.shape == expected.shape
    assert array.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    whole = np.asarray(array[...])
    assert whole.shape == expected.shape
    assert whole.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(whole, expected)
    if expected.ndim and expected.size:
        for region in regions(expected.shape):
            np.testing.assert_array_equal(array[region], expected[region], err_msg=str(region))


def regions(shape: tuple[int, ...]) -> list[tuple[Any, ...]]:
    return [
        tuple(slice(n // 3, n) for n in shape),
        tuple(slice(0, n, 2) for n in shape),
        tuple(n // 2 for n in shape),
        tuple(slice(n // 4, n // 2 + 1) for n in shape),
        (..., -1),
    ]


@pytest.mark.parametrize("expected", [p for p in EXPECTED if source(p, ".zarr")[0].is_dir()], ids=name)
def test_zarr(expected: Path) -> None:
    store, node = source(expected, ".zarr")
    array = tegula.open_array(store, path="/" + node)
    values = np.load(expected)
    check(array, values)
    same = tegula.open_array(f"{store}/{node}" if node else str(store))
    np.testing.assert_array_equal(same[...], values)
    subset = array.subset_all()
    np.testing.assert_array_equal(array.retrieve_array_subset(subset), values)
    if values.size:
        padded = array.retrieve_chunks(array.chunks_in_array_subset(subset))
        np.testing.assert_array_equal(padded[tuple(map(slice, values.shape))], values)


@pytest.mark.parametrize("expected", sorted(DATA.glob("*/*.json")), ids=name)
def test_attributes(expected: Path) -> None:
    for path, attributes in json.loads(expected.read_text()).items():
        node = tegula.open(expected.with_suffix(".zarr"), path="/" + path)
        assert dict(node.attrs) == attributes


@pytest.mark.parametrize("expected", [p for p in EXPECTED if source(p, ".asdf")[0].is_file()], ids=name)
def test_asdf(expected: Path) -> None:
    file, node = source(expected, ".asdf")
    is_mask = node.endswith(".mask")
    with tegula.open_asdf(file) as tree:
        value = tree
        for key in node.removesuffix(".mask").split("/"):
            value = value[int(key) if isinstance(value, list) else key]
        values = np.load(expected)
        whole = value[...]
        if is_mask:
            np.testing.assert_array_equal(np.ma.getmaskarray(whole), values)
        elif isinstance(whole, np.ma.MaskedArray):
            np.testing.assert_array_equal(whole.filled(0), values)
        else:
            check(value, values)


def test_every_expectation_has_its_data() -> None:
    assert EXPECTED
    for expected in EXPECTED:
        assert source(expected, ".zarr")[0].is_dir() or source(expected, ".asdf")[0].is_file(), expected
