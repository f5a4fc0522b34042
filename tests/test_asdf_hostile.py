"""ASDF files that are damaged, or made to do harm: bounded time and memory, and errors of ours."""

import contextlib
import io
import random
import re
import struct
import zlib

import numpy as np
import pytest

import tegula
import tegula.asdf
from tegula._cli import main
from tegula.asdf._walk import walk

HEAD = b"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- "
ROOT = HEAD + b"!core/asdf-1.1.0\n"
NDARRAY = "!core/ndarray-1.1.0"


def of(body: str) -> bytes:
    return ROOT + body.encode() + b"\n...\n"


def command(*arguments) -> tuple[int, str]:
    """Run a command; return its exit code and what it printed."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main([str(argument) for argument in arguments])
    assert "unexpected" not in errors.getvalue()
    return code, out.getvalue()


def use(data: bytes, *, elements: bool = True) -> None:
    """Do with a file what people do. Only errors of ours may come out of it."""

    def attempt(call):
        try:
            return call()
        except tegula.Error:
            return None

    file = attempt(lambda: tegula.open_asdf(data))
    if file is None:
        return
    repr(file)
    file.format_tree(None)
    attempt(lambda: file.search("a"))
    attempt(lambda: file.write_to(io.BytesIO()))
    attempt(file.copy)
    attempt(file.verify)
    attempt(lambda: file.blocks)
    for _, _, array in walk(file.tree):
        if isinstance(array, tegula.Array):
            attempt(lambda array=array: repr(array))
            for fact in ("shape", "dtype", "ndim", "mask", "info", "chunks"):
                attempt(lambda array=array, fact=fact: getattr(array, fact))
            size = attempt(lambda array=array: array.nbytes)
            attempt(lambda array=array: array[:1])
            if elements and size is not None and size < 1 << 26:
                attempt(lambda array=array: array[...])
                attempt(lambda array=array: array.retrieve_chunk((0,) * array.ndim))


# Aliases, merge keys and nesting.


def laughs(levels: int) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * 10)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_shared_nodes_are_visited_once(tmp_path):
    path = tmp_path / "a.asdf"
    path.write_bytes(of(laughs(12)))
    for arguments in (("info", path), ("info", path, "--json"), ("info", path, "--depth", "30"), ("validate", path)):
        assert len(command(*arguments)[1]) < 20_000
    file = tegula.open_asdf(path)
    assert file["a11"][0] is file["a11"][9] is file["a10"]
    assert len(file.format_tree(None)) < 20_000
    assert len(file.search("a3")) == 1
    file["new"] = 1
    file.update()
    assert path.stat().st_size < 2000
    again = tegula.open_asdf(path)
    assert again["a11"][0] is again["a10"]
    for bomb in ("datatype: [*a11, *a11]", "shape: *a11", "strides: *a11", "mask: *a11"):
        use(of(f"{laughs(12)}\nn: {NDARRAY} {{source: 0, byteorder: little, {bomb}}}"))
    with pytest.raises(tegula.InvalidMetadataError, match="elements"):
        tegula.open_asdf(of(f"{laughs(12)}\nn: {NDARRAY} {{data: *a11}}"))["n"][...]


def test_merged_mappings_are_bounded():
    keys = ", ".join(f"k{n}: 1" for n in range(10_000))
    merging = "\n".join(f"b{n}: {{<<: *a}}" for n in range(1000))
    with pytest.raises(tegula.InvalidMetadataError, match="merged mappings"):
        tegula.open_asdf(of(f"a: &a {{{keys}}}\n{merging}"))
    few = tegula.open_asdf(of("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}"))
    assert few["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize("depth", [100, 890, 990, 100_000])
def test_deep_trees(tmp_path, depth):
    path = tmp_path / "a.asdf"
    for start, end in (("[", "]"), ("{a: ", "}")):
        path.write_bytes(of(f"x: {start * depth}1{end * depth}"))
        use(path.read_bytes())
        for arguments in (("info", path), ("info", path, "--json"), ("validate", path)):
            command(*arguments)


# Sizes.

VAST = [2**62, 2**63 - 1, 2**64]


@pytest.mark.parametrize("number", [*VAST, -(2**63), -(2**70)])
@pytest.mark.parametrize("place", ["shape", "strides", "offset", "source", "field", "text", "stream"])
def test_vast_numbers(place, number):
    node = {"source": "0", "datatype": "uint8", "byteorder": "little", "shape": "[2, 3]"}
    node |= {
        "shape": {"shape": f"[{number}, 0, {number}]"},
        "strides": {"strides": f"[{number}, {number}]"},
        "offset": {"offset": str(number)},
        "source": {"source": str(number)},
        "field": {"datatype": f"[{{name: a, datatype: uint8, shape: [{number}, {number}]}}]"},
        "text": {"datatype": f"[ucs4, {number}]"},
        "stream": {"shape": f"['*', {number}, {number}]"},
    }[place]
    text = ", ".join(f"{key}: {value}" for key, value in node.items())
    blocks = tegula_blocks({"a": np.zeros(6, "u1")})
    use(of(f"a: {NDARRAY} {{{text}}}") + blocks)
    use(of(f"a: {NDARRAY} {{{text.replace('[2, 3]', f'[{number}]')}}}") + blocks)


def tegula_blocks(tree, **options) -> bytes:
    buffer = io.BytesIO()
    tegula.AsdfFile(tree).write_to(buffer, **options)
    return buffer.getvalue()[buffer.getvalue().index(b"\xd3BLK") :]


def test_headers_that_claim_vast_sizes(tmp_path):
    for label in (b"\0\0\0\0", b"zlib", b"bzp2", b"lz4\0", b"blsc", b"bls2", b"zstd", b"xz\0\0", b"lz4f", b"what"):
        for sizes in ((2**64 - 1,) * 3, (64, 64, 2**63), (2**63, 64, 64), (64, 2**63, 64), (64, 64, 2**40)):
            header = b"\xd3BLK" + struct.pack(">HI4sQQQ16s", 48, 0, label, *sizes, bytes(16))
            node = f"a: {NDARRAY} {{source: 0, datatype: uint8, byteorder: little, shape: [64]}}"
            data = of(node) + header + bytes(64)
            use(data)
            (tmp_path / "a.asdf").write_bytes(data)
            assert label == b"\0\0\0\0" or not tegula.validate(tmp_path / "a.asdf").ok


def test_blocks_that_decode_to_much_are_not_checked(tmp_path):
    path = tmp_path / "a.asdf"
    packed, size = zlib.compress(bytes(3 << 20), 9), 3 << 30
    packed = packed * 1024
    header = b"\xd3BLK" + struct.pack(">HI4sQQQ16s", 48, 0, b"zlib", len(packed), len(packed), size, bytes(16))
    node = f"a: {NDARRAY} {{source: 0, datatype: uint8, byteorder: little, shape: [{size}]}}"
    path.write_bytes(of(node) + header + packed)
    (problem,) = tegula.validate(path).problems
    assert "to check it" in problem.message
    assert command("validate", path)[0] == 1


def test_lists_of_large_elements():
    for datatype, count in (("[ascii, 2147483647]", 3), ("[ucs4, 100000]", 10_000), ("[ascii, 1000000]", 1000)):
        items = ", ".join(["a"] * count)
        file = tegula.open_asdf(of(f"a: {NDARRAY} {{data: [{items}], datatype: {datatype}}}"))
        with pytest.raises(tegula.InvalidMetadataError, match="decodes to"):
            file["a"][...]


def test_integers_of_many_words():
    words = f"{NDARRAY} {{source: 0, datatype: uint32, byteorder: little, shape: [4294967296], strides: [0]}}"
    with pytest.raises(tegula.InvalidMetadataError, match="words"):
        tegula.open_asdf(
            of(f"a: !core/integer-1.1.0 {{sign: '-', words: {words}}}") + tegula_blocks({"a": np.zeros(9)})
        )
    for text in ("['', a]", "[1.5]", "5", "{data: [1], datatype: [ascii, 4]}"):
        use(of(f"a: !core/integer-1.1.0 {{sign: '+', words: {NDARRAY} {text}}}"))


# Roots, masks and members that are something else.


@pytest.mark.parametrize(
    "root", ["hello", "null", "5", "[901]", "[]", "''", "1.5", f"{NDARRAY} [1, 2]", "!x {a: 1}", "~"]
)
def test_roots(tmp_path, root):
    path = tmp_path / "a.asdf"
    path.write_bytes(HEAD + root.encode() + b"\n...\n")
    use(path.read_bytes())
    for arguments in (("info", path), ("info", path, "--json"), ("info", f"{path}#a/b"), ("validate", path)):
        command(*arguments)
    file = tegula.open_asdf(path)
    for attempt in (lambda: file["a"], lambda: list(file), lambda: "a" in file, lambda: len(file)):
        with contextlib.suppress(tegula.Error, KeyError):
            attempt()


MASKS = [
    f"{NDARRAY} {{data: [true, false], datatype: bool8}}",
    f"{NDARRAY} {{data: [[true], [false]], datatype: bool8}}",
    f"{NDARRAY} {{data: [a, b, c]}}",
    f"{NDARRAY} {{data: [[1, 0], [0, 1], [1, 1]], datatype: [{{name: x, datatype: bool8}}, {{datatype: bool8}}]}}",
    f"{NDARRAY} {{source: 0, datatype: bool8, byteorder: big, shape: [1099511627776], strides: [0]}}",
    f"{NDARRAY} {{source: 99, datatype: bool8, byteorder: big, shape: [3]}}",
    "{a: 1}",
    "[1, 0, 1]",
    "hello",
    "2001-01-01",
    "!!set {a}",
    "{$ref: '#/a'}",
    "{$ref: 'other.asdf#/a'}",
    "!core/integer-1.1.0 {}",
]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "where", ["data: [1, 2, 3], datatype: int64", "source: 0, datatype: uint8, byteorder: big, shape: [3]"]
)
def test_masks_that_do_not_fit(tmp_path, where, mask):
    data = of(f"a: {NDARRAY} {{{where}, mask: {mask}}}") + tegula_blocks({"a": np.zeros(9, "u1")})
    use(data)
    with pytest.raises(tegula.Error):
        tegula.open_asdf(data)["a"][...]
    (tmp_path / "a.asdf").write_bytes(data)
    assert not tegula.validate(tmp_path / "a.asdf").ok
    assert command("info", tmp_path / "a.asdf")[0] == 0


# Random damage.

VALUES = re.split(
    r"\s+",
    """0 -1 1 9223372036854775807 -9223372036854775808 18446744073709551616 .nan null true '' x [] {} [0] [1,[2]]
'*' ['*',6] float64 bool8 [ascii,5] [ascii,0] [ascii,2147483647] complex128 little a.asdf '../x' [-8] [0,0]
[9223372036854775807,9223372036854775807] [4611686018427387904,0] [1099511627776] {$ref:'#/a'} {$ref:'x.asdf#'}
!!set{a} !!omap[a:1] !!pairs[1] !!binary'%%' !!int'x' 2020-13-45 1:99:99 !core/complex-1.0.0x !core/integer-1.0.0{}
[{name:a,datatype:int8},{name:a,datatype:int8}] [{datatype:int8,shape:[4294967296,4294967296]}] {<<:1}""",
)


@pytest.fixture(scope="module")
def valid() -> bytes:
    base = np.arange(24.0).reshape(4, 6)
    records = np.array([(1, (2.0, [1, 2]), b"x")], [("i", "i4"), ("n", [("f", "f8"), ("g", "u1", (2,))]), ("s", "S2")])
    text = np.array(["x", "yy"])
    tree = {
        "a": base,
        "columns": np.asfortranarray(base),
        "masked": np.ma.array(base, mask=base % 3 == 0),
        "records": records,
        "zarr": tegula.asdf.chunked(np.arange(100).reshape(10, 10), chunks=(4, 4)),
        "big": 2**70,
        "complex": 1 + 2j,
        "list": ["a", {"b": None}],
        "text": text,
    }
    file = tegula.AsdfFile(tree)
    file.set_array_storage(text, "inline")
    file.set_array_compression(tree["columns"], "zlib")
    buffer = io.BytesIO()
    file.write_to(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("seed", range(2))
def test_random_members(valid, seed):
    rng = random.Random(seed)
    end = valid.index(b"\xd3BLK")
    text = valid[:end].decode()
    members = list(re.finditer(r"(\w+|\.zarray): ([^{}\n,]+)", text))
    for _ in range(80):
        member = rng.choice(members)
        value = rng.choice(VALUES).replace(":", ": ").replace("{", " {")
        use((text[: member.start(2)] + value + text[member.end(2) :]).encode() + valid[end:])


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes(valid, seed):
    rng = random.Random(seed)
    end = valid.index(b"\xd3BLK")
    for _ in range(80):
        data = bytearray(valid)
        for _ in range(rng.choice([1, 1, 3])):
            at = rng.randrange(end if rng.random() < 0.7 else len(data))
            kind = rng.random()
            if kind < 0.6:
                data[at] = rng.randrange(256)
            elif kind < 0.8:
                del data[at : at + rng.randint(1, 8)]
            else:
                data[at:at] = data[at : at + rng.randint(1, 20)]
        use(bytes(data))
