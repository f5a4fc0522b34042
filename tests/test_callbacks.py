"""Python inside native code: what stores and codecs return, raise and call."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import numpy as np
import pytest

import tegula


def codec(name: str, encode: Callable[[bytes], Any], decode: Callable[[bytes], Any] | None = None) -> dict[str, str]:
    """Register a codec of two functions; return its metadata."""
    back = encode if decode is None else decode

    class Codec:
        def encode(self, data: bytes) -> Any:
            return encode(data)

        def decode(self, data: bytes) -> Any:
            return back(data)

    tegula.register_codec(name, Codec)
    return {"name": name}


class Odd:
    """Pretends to be bytes."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> int:
        return 7

    def __bytes__(self) -> bytes:
        return b"1234"


WRONG = {
    "None": None,
    "text": "abc",
    "an integer": 5,
    "a scalar": np.int64(5),
    "a float": 1.5,
    "a list": [1, 2, 3],
    "objects": np.array([None, "a"], object),
    "an object": Odd(),
    "a tuple": (b"a", b"b"),
}


@pytest.mark.parametrize("what", WRONG)
def test_codecs_must_return_bytes(what: str) -> None:
    store: dict[str, Any] = {}
    given = codec(f"test.wrong {what}", lambda data: WRONG[what], lambda data: WRONG[what])
    array = tegula.create_array(store, shape=(8,), dtype="i4", compressors=given)
    with pytest.raises(tegula.Error, match="must return bytes"):
        array[...] = 1
    assert "c/0" not in store
    store["c/0"] = b"x" * 32
    with pytest.raises(tegula.Error, match="must return bytes"):
        array[...]


@pytest.mark.parametrize("what", [bytearray, memoryview, lambda data: np.frombuffer(data, "u1"), "strided"])
def test_codecs_may_return_buffers(what: Any) -> None:
    def strided(data: bytes) -> Any:
        return np.repeat(np.frombuffer(data, "u1"), 2)[::2]

    given = codec("test.buffers", strided if what == "strided" else what)
    array = tegula.create_array({}, data=np.arange(8), compressors=given)
    assert (array[...] == np.arange(8)).all()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_codecs_that_return_another_size(size: int) -> None:
    given = codec("test.size", bytes, lambda data: b"x" * size)
    array = tegula.create_array({}, data=np.arange(8, dtype="i4"), compressors=given)
    with pytest.raises(tegula.CorruptDataError):
        array[...]


@pytest.mark.parametrize("what", [what for what in WRONG if what != "None"])
def test_mappings_must_hold_bytes(what: str) -> None:
    store: dict[str, Any] = {}
    array = tegula.create_array(store, shape=(8,), dtype="i4", compressors=None)
    store["c/0"] = WRONG[what]
    with pytest.raises(tegula.Error, match="c/0"):
        array[...]


def test_none_in_a_mapping_is_an_error() -> None:
    store: dict[str, Any] = {}
    array = tegula.create_array(store, shape=(8,), dtype="i4", compressors=None)
    store["c/0"] = None
    with pytest.raises(tegula.Error, match="c/0"):
        array[...]


PASSING = [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit]


class Raising(MutableMapping[str, bytes]):
    """A store that raises an exception where it is told to."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.error: BaseException | None = None
        self.method = ""

    def act(self, method: str) -> None:
        if self.error is not None and method == self.method:
            raise self.error

    def __getitem__(self, key: str) -> bytes:
        self.act("get")
        return self.objects[key]

    def __setitem__(self, key: str, value: bytes) -> None:
        self.act("set")
        self.objects[key] = value

    def __delitem__(self, key: str) -> None:
        self.act("delete")
        del self.objects[key]

    def __iter__(self) -> Iterator[str]:
        self.act("list")
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("method", ["get", "set", "delete", "list"])
@pytest.mark.parametrize("chunks", [8, 1])
def test_exceptions_of_stores_pass(kind: type[BaseException], method: str, chunks: int) -> None:
    store = Raising()
    group = tegula.create_group(store)
    array = group.create_array("a", data=np.arange(8), chunks=(chunks,), compressors=None)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: array[...],
        "set": lambda: array.__setitem__(..., 1),
        "delete": lambda: array.__setitem__(..., 0),
        "list": group.members,
    }
    store.error, store.method = kind("stop"), method
    with pytest.raises(kind) as raised:
        calls[method]()
    assert raised.value is store.error
    store.error = ValueError("why")
    with pytest.raises(tegula.StoreError, match="why") as told:
        calls[method]()
    assert told.value.__cause__ is store.error


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("chunks", [8, 1])
def test_exceptions_of_codecs_pass(kind: type[BaseException], chunks: int) -> None:
    error: list[BaseException] = []

    def act(data: bytes) -> bytes:
        if error:
            raise error[0]
        return bytes(data)

    array = tegula.create_array({}, data=np.arange(8), chunks=(chunks,), compressors=codec("test.raising", act))
    error.append(kind("stop"))
    with pytest.raises(kind):
        array[...]
    with pytest.raises(kind):
        array[...] = 2
    error[:] = [ValueError("why")]
    with pytest.raises(tegula.Error, match="why"):
        array[...]


class Calling(dict[str, bytes]):
    """A store that calls a function, once, when a chunk is read or stored."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.call: Callable[[], object] | None = None
        self.errors: list[BaseException] = []

    def act(self, method: str, key: str) -> None:
        if self.call is not None and method == self.method and key.startswith("c/"):
            call, self.call = self.call, None
            try:
                call()
            except tegula.Error as error:
                self.errors.append(error)

    def __getitem__(self, key: str) -> bytes:
        self.act("get", key)
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: bytes) -> None:
        super().__setitem__(key, value)
        self.act("set", key)


def ends(call: Callable[[], object], seconds: float = 20) -> None:
    """Fail if a call does not end."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive()


NESTED: dict[str, Callable[[tegula.Array], object]] = {
    "writes an element": lambda a: a.__setitem__((0, 0), 9),
    "writes everything": lambda a: a.__setitem__(..., 9),
    "reads everything": lambda a: a[...],
    "erases": lambda a: a.erase_chunk((0, 0)),
    "resizes": lambda a: a.resize((8, 9)),
    "changes attributes": lambda a: a.attrs.update(x=1),
    "compacts": lambda a: a.compact(),
}


@pytest.mark.parametrize("shards", [None, (4, 4)])
@pytest.mark.parametrize("method", ["get", "set"])
@pytest.mark.parametrize("name", NESTED)
def test_stores_may_call_back_or_learn_that_they_may_not(name: str, method: str, shards: Any) -> None:
    store = Calling(method)
    array = tegula.create_array(store, shape=(8, 8), dtype="i4", chunks=(2, 2), shards=shards)
    array[...] = 1

    def go() -> None:
        for part in (np.s_[...], np.s_[0, 0], np.s_[1:7, 1:7]):
            store.call = lambda: NESTED[name](array)
            array[part] = 3
            array[...]

    ends(go)
    assert all("cannot" in str(error) for error in store.errors)


@pytest.mark.parametrize("name", NESTED)
def test_codecs_may_call_back_or_learn_that_they_may_not(name: str) -> None:
    todo: list[Callable[[], object]] = []
    errors: list[str] = []

    def act(data: bytes) -> bytes:
        if todo:
            try:
                todo.pop()()
            except tegula.Error as error:
                errors.append(str(error))
        return bytes(data)

    array = tegula.create_array(
        tegula.MemoryStore(), shape=(8, 8), dtype="i4", chunks=(4, 4), compressors=codec("test.calling", act)
    )

    def go() -> None:
        for part in (np.s_[...], np.s_[0, 0], np.s_[1:7, 1:7]):
            todo.append(lambda: NESTED[name](array))
            array[part] = 3
            array[...]

    ends(go)
    assert all("cannot" in error for error in errors)


def test_calls_of_other_threads_wait_for_each_other() -> None:
    """Two writes, whose codecs each write what the other one has locked."""
    first = tegula.create_array({}, shape=(4,), dtype="i4")
    second = tegula.create_array({}, shape=(4,), dtype="i4")
    both = threading.Barrier(2)
    arrays: list[tegula.Array] = []
    for other in (second, first):
        store = Calling("set")
        array = tegula.create_array(store, shape=(4,), dtype="i4")

        def call(other: tegula.Array = other) -> None:
            both.wait(10)
            other[...] = 1

        store.call = call
        arrays.append(array)
    threads = [threading.Thread(target=array.__setitem__, args=(..., 1), daemon=True) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_sessions_refuse_to_be_called_back() -> None:
    store = Calling("set")
    array = tegula.create_array(store, shape=(8,), dtype="i4", chunks=(4,))

    def go() -> None:
        with array.write_session() as session:
            for call in (lambda: session.__setitem__(0, 2), session.flush, session.discard, lambda: session.shape):
                store.call = call
                session[:4] = 1

    ends(go)
    assert len(store.errors) == 3
    assert all("cannot use the write session" in str(error) for error in store.errors)


def test_sessions_store_the_rest() -> None:
    array = tegula.create_array({}, shape=(8,), dtype="i4", chunks=(4,))
    session = array.write_session()
    session[:2] = 1
    with pytest.warns(ResourceWarning, match="its staged elements were stored"):
        del session
    assert array[:2].tolist() == [1, 1]
    closed = array.write_session()
    closed[:2] = 2
    closed.discard()
    del closed
    assert array[:2].tolist() == [1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_open_sessions_at_the_end_of_the_interpreter(tmp_path: Any, fails: bool) -> None:
    code = f"""
import os, sys, tegula
array = tegula.create_array("a", shape=(8,), dtype="i4", chunks=(4,))
session = array.write_session()
session[:2] = 1
if {fails}:
    os.mkdir("a/c"); os.mkdir("a/c/0")
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert ("are lost" in done.stderr) == fails, done.stderr
    if not fails:
        assert tegula.open_array(tmp_path / "a")[:2].tolist() == [1, 1]


def test_sessions_are_not_for_forked_children() -> None:
    array = tegula.create_array(tegula.MemoryStore(), shape=(8,), dtype="i4", chunks=(4,))
    session = array.write_session()
    session[:2] = 1
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        session.close()
        return
    try:
        with pytest.raises(tegula.Error, match="forked"):
            session[2:4] = 1
        with pytest.raises(tegula.Error, match="forked"):
            session.close()
        session.discard()
    except BaseException:  # noqa: BLE001 - the child must not run on into pytest
        os._exit(1)
    os._exit(0)
