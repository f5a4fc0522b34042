"""An adapter that runs tegula in a benchmark harness. The harness provides the module ``base``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from base import Adapter, main  # provided by the harness

import tegula


def _slices(start, shape):
    return tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))


class Ours(Adapter):
    """Runs Zarr in folders and over HTTP, and ASDF."""

    name = "ours"

    def open(self, path):
        return tegula.open_array(path)

    def read_all(self, h):
        return h.retrieve_array_subset(h.subset_all())

    def read_window(self, h, start, shape):
        return h.retrieve_array_subset(tegula.ArraySubset.new_with_start_shape(start, shape))

    def read_many(self, h, starts, shape):
        return list(h.retrieve_array_subsets(starts, shape))

    def create_like(self, path, template):
        Path(path).mkdir(parents=True)
        shutil.copy(f"{template}/zarr.json", path)
        return tegula.open_array(path)

    def write_all(self, h, data):
        h.store_array_subset(h.subset_all(), data)

    def write_window(self, h, start, data):
        h.store_array_subset(tegula.ArraySubset.new_with_start_shape(start, data.shape), data)

    def read_strings(self, h):
        return h[...]

    def open_url(self, url):
        return tegula.open_array(url)

    def open_hierarchy(self, path, consolidated):  # noqa: ARG002 - listing is fast enough
        group = tegula.open_group(path)
        return sum(tuple(group[name].shape) == (64, 64) for name in group)

    def asdf_open(self, path):
        file = tegula.asdf.open(path)
        return file, file

    def asdf_array(self, h, key="data", mmap=False):
        array = h[key][...]
        # Decoded arrays are already new; a view of a memory map is read-only.
        return array if mmap or array.flags.writeable else np.array(array)

    def asdf_cutout(self, h, start, shape, mmap=False):  # noqa: ARG002 - one way serves both
        return h["data"][_slices(start, shape)]

    def asdf_close(self, h):
        h.close()


if __name__ == "__main__":
    main(Ours())
