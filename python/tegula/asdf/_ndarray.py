"""Methods and attributes of ndarrays for arrays of ASDF files, as the ``asdf`` library has them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NdarrayMethods"]


def _named(method: Callable[..., Any], name: str, text: str) -> Any:
    method.__name__, method.__qualname__ = name, f"NdarrayMethods.{name}"
    method.__doc__ = f"As `numpy.ndarray.{name}`{text}"
    return method


def _read(name: str) -> Any:
    """Return a method that reads all elements and calls the method of the ndarray."""

    def method(self: "NdarrayMethods", *args: Any, **kwargs: Any) -> Any:
        return getattr(self._elements(), name)(*args, **kwargs)

    return _named(method, name, ", of all elements.")


def _view(name: str) -> Any:
    """Return a method whose result shares the memory of the elements."""

    def method(self: "NdarrayMethods", *args: Any, **kwargs: Any) -> Any:
        return getattr(self._shared(), name)(*args, **kwargs)

    return _named(method, name, ". The result is read-only until the array is assigned to.")


def _change(name: str) -> Any:
    """Return a method that changes the elements in memory."""

    def method(self: "NdarrayMethods", *args: Any, **kwargs: Any) -> Any:
        return getattr(self._own(), name)(*args, **kwargs)

    return _named(method, name, ", of the elements in memory; see `AsdfArray`.")


def _attribute(name: str) -> Any:
    """Return a property whose value shares the memory of the elements."""

    def get(self: "NdarrayMethods") -> Any:
        return getattr(self._shared(), name)

    return property(_named(get, name, ". The result is read-only until the array is assigned to."))


class NdarrayMethods:
    """The names of `numpy.ndarray`, which read all elements."""

    __slots__ = ()

    def _elements(self) -> NDArray[Any]:
        """Read all elements."""
        raise NotImplementedError

    def _shared(self) -> NDArray[Any]:
        """Return all elements; writable only if writes to them change the array."""
        raise NotImplementedError

    def _own(self) -> NDArray[Any]:
        """Return all elements in memory, to be changed there."""
        raise NotImplementedError

    all = _read("all")
    any = _read("any")
    argmax = _read("argmax")
    argmin = _read("argmin")
    argpartition = _read("argpartition")
    argsort = _read("argsort")
    astype = _read("astype")
    choose = _read("choose")
    clip = _read("clip")
    compress = _read("compress")
    conj = _read("conj")
    conjugate = _read("conjugate")
    copy = _read("copy")
    cumprod = _read("cumprod")
    cumsum = _read("cumsum")
    dot = _read("dot")
    dump = _read("dump")
    dumps = _read("dumps")
    flatten = _read("flatten")
    item = _read("item")
    max = _read("max")
    mean = _read("mean")
    min = _read("min")
    nonzero = _read("nonzero")
    prod = _read("prod")
    repeat = _read("repeat")
    round = _read("round")
    searchsorted = _read("searchsorted")
    std = _read("std")
    sum = _read("sum")
    take = _read("take")
    tobytes = _read("tobytes")
    to_device = _read("to_device")
    tofile = _read("tofile")
    tolist = _read("tolist")
    trace = _read("trace")
    var = _read("var")

    diagonal = _view("diagonal")
    getfield = _view("getfield")
    ravel = _view("ravel")
    reshape = _view("reshape")
    squeeze = _view("squeeze")
    swapaxes = _view("swapaxes")
    transpose = _view("transpose")
    view = _view("view")

    fill = _change("fill")
    partition = _change("partition")
    put = _change("put")
    setfield = _change("setfield")
    setflags = _change("setflags")
    sort = _change("sort")

    T = _attribute("T")
    ctypes = _attribute("ctypes")
    data = _attribute("data")
    flags = _attribute("flags")
    flat = _attribute("flat")
    imag = _attribute("imag")
    mT = _attribute("mT")  # noqa: N815 - as in NumPy
    real = _attribute("real")
    strides = _attribute("strides")

    dtype: Any

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return int(np.dtype(self.dtype).itemsize)

    @property
    def device(self) -> str:
        """Where the elements are, in the terms of the array API: always ``"cpu"``."""
        return "cpu"

    def byteswap(self, inplace: bool = False) -> NDArray[Any]:
        """Swap the bytes of all elements, in memory if `inplace` is true."""
        return self._own().byteswap(inplace=True) if inplace else self._elements().byteswap()
