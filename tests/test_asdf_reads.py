"""How many bytes of a file partial reads of ASDF arrays take, as counted by the operating system."""

from pathlib import Path

import numpy as np
import pytest

import tegula
import tegula.asdf

IO = Path("/proc/self/io")
SHAPE = (32, 32, 2560)
BY_SPECTRA = (8, 8, 2560)
BY_PLANES = (32, 32, 256)


def read_so_far() -> int:
    return int(dict(line.split(": ") for line in IO.read_text().splitlines())["rchar"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reads")
    elements = np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE)
    for name, chunks in {"spectra": BY_SPECTRA, "planes": BY_PLANES}.items():
        array = tegula.asdf.chunked(elements, chunks=chunks, compressor=None)
        tegula.asdf.AsdfFile({"cube": array}).write_to(folder / f"{name}.asdf")
    tegula.asdf.AsdfFile({"cube": elements}).write_to(folder / "block.asdf")
    return folder, elements


@pytest.mark.skipif(not IO.exists(), reason="only Linux counts what a process reads")
@pytest.mark.parametrize(
    ("name", "part", "chunks", "chunk", "between"),
    [
        # The number of chunks, and the gaps of less than 64 KiB that are read between ranges.
        ("spectra", np.s_[:, :, 0], 16, BY_SPECTRA, 0),
        ("spectra", np.s_[0, 0, :], 1, BY_SPECTRA, 0),
        ("planes", np.s_[:, :, 0], 1, BY_PLANES, 1023 * 1020),
        ("planes", np.s_[0, 0, :], 10, BY_PLANES, 0),
        ("block", np.s_[0, 0, :], 1, SHAPE, 0),
        ("block", np.s_[5, 7:9, 3:5], 1, SHAPE, 4 * 2558),
    ],
)
def test_a_part_reads_only_what_it_needs(files, name, part, chunks, chunk, between):
    folder, elements = files

    def read():
        before = read_so_far()
        with tegula.asdf.open(folder / f"{name}.asdf", memmap=False) as file:
            found = np.asarray(file["cube"][part])
        taken = read_so_far() - before
        return found, taken - (read_so_far() - (before + taken))

    read()
    found, taken = read()
    np.testing.assert_array_equal(found, elements[part])
    with tegula.asdf.open(folder / f"{name}.asdf", memmap=False) as file:
        assert file["cube"].explain(part).chunks == chunks
        block_map = 0 if name == "block" else 4 * np.prod(np.array(SHAPE) // chunk)
    # The tree, block index and block headers take at most 8 KiB, and no chunk is read twice.
    assert taken <= chunks * np.prod(chunk) * 4 + block_map + 8192
    assert taken <= found.nbytes + between + block_map + 8192
