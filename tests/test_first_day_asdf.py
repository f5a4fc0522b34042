"""What users of the asdf library type on their first day, and what happens."""

import copy
import gzip
import io
import pickle
import re
from collections import UserDict

import numpy as np
import pytest

import tegula
import tegula.asdf as ours

DATA = np.arange(12.0).reshape(3, 4)
RECORDS = np.array([(1, 2.5), (3, 4.5)], [("id", "i4"), ("flux", "f8")])


class Raises:
    """The error of an expression: its type and a piece of its message."""

    def __init__(self, kind: type[BaseException], text: str = "") -> None:
        self.kind, self.text = kind, text


class Shows:
    """A pattern in the text of the value."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern


class Is:
    """The type of the value."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


ROWS = [
    # The tree.
    ("f.keys()", Shows("data")),
    ("list(f)[0]", "asdf_library"),
    ("f['meta']['instrument']", "WFI"),
    ("f.tree['meta']['exposure']", 5.5),
    ("f['nothing']", Raises(KeyError, "nothing")),
    ("f.get('nothing', 7)", 7),
    ("'data' in f", True),
    ("len(f['names'])", 2),
    ("f", Shows("AsdfFile .*a.asdf")),
    ("f.uri.endswith('a.asdf')", True),
    ("f.version == f.version_string == '1.6.0'", True),
    ("f.file_format_version", "1.0.0"),
    ("f.comments", []),
    ("f.extensions", []),
    ("f.resolve_uri('b.asdf#/x').endswith('b.asdf#/x')", True),
    ("f.make_reference(['meta']).uri", "a.asdf#/meta"),
    ("f.open_external('#') is f", True),
    ("f.open_external('missing.asdf')", Raises(tegula.NotFoundError, "missing.asdf")),
    ("f.get_history_entries()", []),
    ("f.add_history_entry('done', {'name': 'me', 'version': '1'})", None),
    ("f.update()", Raises(tegula.StoreError, 'mode="rw"')),
    ("f.blocks[0]['compression']", ""),
    # Arrays look like ndarrays.
    ("str(a)", Shows(r"^<array \(unloaded\) shape: \[3, 4\] dtype: float64>$")),
    ("f'{a}'", Shows("unloaded")),
    ("str(f['masked'])", Shows("masked array .unloaded")),
    ("(a[0, 0], str(a))[1]", str(DATA)),
    ("a.shape, a.ndim, a.size, a.dtype.name, len(a), a.itemsize, a.nbytes", ((3, 4), 2, 12, "float64", 3, 8, 96)),
    ("a[1]", DATA[1]),
    ("a[-1, ::2]", DATA[-1, ::2]),
    ("a[a > 5]", DATA[DATA > 5]),
    ("a[5]", Raises(IndexError, "data")),
    ("a == 0", DATA == 0),
    ("a != a", np.zeros((3, 4), bool)),
    ("a + 1", DATA + 1),
    ("1 / (a + 1)", 1 / (DATA + 1)),
    ("-a", -DATA),
    ("a @ a.T", DATA @ DATA.T),
    ("a ** 2 > 4", DATA**2 > 4),
    ("abs(a - 5)", abs(DATA - 5)),
    ("np.sin(a)", np.sin(DATA)),
    ("np.add(a, a)", DATA + DATA),
    ("np.add.reduce(a)", DATA.sum(0)),
    ("np.mean(a), np.median(a), np.std(a)", (5.5, 5.5, np.std(DATA))),
    ("np.where(a > 3, a, 0)", np.where(DATA > 3, DATA, 0)),
    ("np.concatenate([a, a])", np.concatenate([DATA, DATA])),
    ("np.shape(a), np.ndim(a)", ((3, 4), 2)),
    ("np.zeros_like(a)", np.zeros((3, 4))),
    ("np.allclose(a, a + 0)", True),
    ("a.sum(), a.mean(), a.min(), a.max()", (66.0, 5.5, 0.0, 11.0)),
    ("a.sum(axis=0)", DATA.sum(0)),
    ("a.std(), a.var()", (DATA.std(), DATA.var())),
    ("a.any(), a.all()", (True, False)),
    ("a.argmax(), a.argmin(axis=1)[0]", (11, 0)),
    ("a.astype('f4')", DATA.astype("f4")),
    ("a.T", DATA.T),
    ("a.reshape(4, 3)", DATA.reshape(4, 3)),
    ("a.ravel()", DATA.ravel()),
    ("a.flatten()", DATA.flatten()),
    ("a.tolist()", DATA.tolist()),
    ("a.item(5)", 5.0),
    ("a.transpose(1, 0)", DATA.T),
    ("a.squeeze()", DATA),
    ("a.round(1)", DATA.round(1)),
    ("a.clip(2, 5)", DATA.clip(2, 5)),
    ("a.cumsum()", DATA.cumsum()),
    ("a.dot(a.T)", DATA.dot(DATA.T)),
    ("a.copy()", DATA),
    ("a.real, a.imag", (DATA, np.zeros((3, 4)))),
    ("a.strides", (32, 8)),
    ("a.tobytes()", DATA.tobytes()),
    ("a.view('u8')", DATA.view("u8")),
    ("list(a)[2]", DATA[2]),
    ("5 in a, 100 in a", (True, False)),
    ("a is f['data'] and hash(a) == hash(f['data'])", True),
    ("bool(a)", Raises(ValueError, "ambiguous")),
    ("bool(f['point'])", True),
    ("float(f['point']), int(f['point'])", (2.0, 2)),
    ("float(a)", Raises(TypeError)),
    ("f'{f[\"point\"]:.3f}'", "2.000"),
    ("np.asarray(a)", DATA),
    ("np.from_dlpack(a)", DATA),
    ("a.base", Is(np.memmap)),
    ("open_(memmap=False)['data'].base", None),
    ("open_(copy_arrays=True)['data'].base", None),
    ("open_(copy_arrays=False)['data'].base", Is(np.memmap)),
    ("open_(copy_arrays=True, memmap=True)", Raises(ValueError, "contradict")),
    ("type(open_(lazy_load=False)['data'])", np.ndarray),
    ("a.nonsense", Raises(AttributeError, "nonsense")),
    ("f['tab']['flux']", RECORDS["flux"]),
    ("f['tab'].dtype.names", ("id", "flux")),
    ("f['masked'].mean()", 2.0),
    ("f['masked'].sum() is np.ma.masked", False),
    ("f['masked'].filled(-1)", np.array([1.0, -1.0, 3.0])),
    ("f['masked'] + 1", np.ma.array([2.0, 0, 4.0], mask=[0, 1, 0])),
    ("f['zarr'].sum()", 66.0),
    ("f['zarr'].chunks", (2, 2)),
    # Assignment.
    ("(a.__setitem__((0, 0), 99.0), a[0, 0], f['data'][0, 0])[1:]", (99.0, 99.0)),
    ("(a.sort(), a[0, 0])", (None, 0.0)),
    ("(a.fill(3), a.sum())", (None, 36.0)),
    ("a.__setitem__(7, 0)", Raises(IndexError, "data")),
    ("f['zarr'].__setitem__(0, 0)", Raises(tegula.UnsupportedError, "put a new array into the tree")),
    ("a.resize((3, 3))", Raises(tegula.UnsupportedError, "numpy.resize")),
    ("a.append([1])", Raises(tegula.UnsupportedError, "AsdfFile.append")),
    ("a.attrs.update(k=1)", Raises(tegula.UnsupportedError, "read-only")),
    ("open_()['data'][0, 0]", 0.0),
    # Searching and printing.
    ("f.search('exposure').path", "root['meta']['exposure']"),
    ("f.search('exposure').node", 5.5),
    ("f.search('exposure')", Shows(r"(?s)root.*meta.*exposure \(float\): 5.5")),
    ("f.search('nowhere')", Shows("No results found")),
    ("f.search('nowhere').node", None),
    ("f.search(type_=float).paths", ["root['meta']['exposure']"]),
    ("f.search(type_='AsdfArray').nodes[0] is a", True),
    ("f.search(value='WF').node", "WFI"),
    ("f.search(value=None).path", "root['meta']['nothing']"),
    ("f.search(value=5.5).path", "root['meta']['exposure']"),
    ("f.search(value=np.arange(3)).paths", []),
    ("f.search(filter_=lambda v: isinstance(v, str) and v == 'WFI').path", "root['meta']['instrument']"),
    ("f.search(filter_=lambda v, k: k == 1).nodes", ["y"]),
    ("f.search('meta').search(type_=dict).paths", ["root['meta']"]),
    ("f.search(type_=str)['names'].nodes", ["x", "y"]),
    ("f.search(key='^q|z$').node", None),
    ("f.search(type_=str).node", Raises(RuntimeError, "results")),
    ("(f.search('exposure').replace(6.5), f['meta']['exposure'])[1]", 6.5),
    ("f.search(type_=3)", Raises(TypeError, "type_")),
    ("printed(f.info)", Shows(r"(?s)data \(AsdfArray: shape=\(3, 4\), dtype=float64\)")),
    ("printed(f.info, max_rows=3)", Shows("more")),
    ("printed(f.info, max_rows=(2, None))", Shows(r"\.\.\. \d more")),
    ("printed(f.info, show_values=False)", Shows(r"instrument \(str\)\n")),
    ("printed(f.info, show_blocks=True)", Shows("(?s)Block #0.*used_size")),
    ("printed(asdf.info, path)", Shows("WFI")),
    ("printed(asdf.info, f['meta'])", Shows("WFI")),
    ("printed(asdf.info, {'k': UserDict(x=[1])})", Shows(r"(?s)k \(UserDict\).*x \(list\)")),
    # Writing.
    ("asdf.loads(asdf.dumps({'x': np.arange(3)}))['x']", np.arange(3)),
    ("asdf.loads(b'nonsense')", Raises(tegula.InvalidMetadataError, "#ASDF")),
    ("asdf.load(io.BytesIO(asdf.dumps({'x': 1})))['x']", 1),
    ("asdf.AsdfFile({'x': 1}, version='1.5.0').version", "1.5.0"),
    ("asdf.AsdfFile({'x': 1}, version='9.9')", Raises(ValueError, "1.6.0")),
    ("asdf.AsdfFile('a.asdf')", Raises(TypeError, "tegula.asdf.open")),
    ("asdf.AsdfFile({'x': 1}).update()", Raises(tegula.StoreError, "write_to")),
    ("asdf.AsdfFile(f)['meta']['instrument']", "WFI"),
    ("asdf.AsdfFile({'x': 1}).write_to(io.StringIO())", Raises(TypeError, "binary")),
    ("asdf.loads(asdf.dumps({'x': UserDict(y=(1, 2))}))['x']", {"y": [1, 2]}),
    ("asdf.AsdfFile({'x': object()}).write_to(io.BytesIO())", Raises(tegula.UnsupportedError, "object")),
    ("asdf.AsdfFile({'x': 1}).write_to(path + '#data')", Raises(tegula.UnsupportedError, "node")),
    ("f.update({'x': 1})", Raises(TypeError, "file.tree.update")),
    # Opening.
    ("asdf.open(path, 'rw')", Raises(TypeError, "mode='rw'")),
    ("asdf.open(path, mode='w')", Raises(ValueError, '"rw"')),
    ("asdf.open(path + 'x')", Raises(tegula.NotFoundError, "a.asdfx")),
    ("asdf.open(folder)", Raises(tegula.UnsupportedError, "folder")),
    ("asdf.open(folder + '/s.zarr')", Raises(tegula.UnsupportedError, "tegula.open")),
    ("asdf.open(io.StringIO('#ASDF'))", Raises(TypeError, "binary")),
    ("asdf.open(at_end())", Raises(tegula.StoreError, r"seek\(0\)")),
    ("tegula.open_array(path + '#data')[0, 1]", 1.0),
    ("tegula.open_array(path)", Raises(tegula.NotFoundError, "open_asdf")),
    ("asdf.open(gzip.compress(b'x'))", Raises(tegula.InvalidMetadataError, "gzip.open")),
    ("asdf.open(b'SIMPLE  =   T')", Raises(tegula.InvalidMetadataError, "FITS")),
    ("tegula.open_array(path + '/data')", Raises(tegula.NotFoundError, "#data")),
    # Copies.
    ("f.copy()['data'].sum()", 66.0),
    ("pickle.loads(pickle.dumps(f))['meta']['instrument']", "WFI"),
    ("pickle.loads(pickle.dumps(a)).sum()", 66.0),
    ("copy.deepcopy(f)['names']", ["x", "y"]),
    # Names.
    ("asdf.get_config().array_inline_threshold", None),
    ("asdf.get_config().nonsense", Raises(AttributeError, "nonsense")),
    ("setattr(asdf.get_config(), 'all_array_storage', 'somewhere')", Raises(ValueError, "internal")),
    ("asdf.generic_io", Raises(AttributeError, "import asdf")),
    ("asdf.IntegerType(2**70) == 2**70", True),
    ("asdf.Stream([3], 'f4')", Shows(r"Stream\(\[3\], float32\)")),
    ("issubclass(asdf.ValidationError, tegula.Error)", True),
]


def printed(capsys, call, *arguments, **options) -> str:
    capsys.readouterr()
    call(*arguments, **options)
    return capsys.readouterr().out


@pytest.fixture
def names(tmp_path, capsys):
    tree = {
        "meta": {"instrument": "WFI", "exposure": 5.5, "nothing": None},
        "data": DATA,
        "tab": RECORDS,
        "masked": np.ma.array([1.0, -999.0, 3.0], mask=[0, 1, 0]),
        "point": np.array(2.0),
        "names": ["x", "y"],
        "zarr": ours.chunked(DATA, chunks=(2, 2)),
    }
    path = str(tmp_path / "a.asdf")
    ours.AsdfFile(tree).write_to(path)
    tegula.create_array(tmp_path / "s.zarr", data=DATA)

    def at_end():
        buffer = io.BytesIO(ours.dumps({"x": 1}))
        buffer.seek(0, 2)
        return buffer

    file = ours.open(path, mode="r")
    return {
        "np": np,
        "io": io,
        "copy": copy,
        "gzip": gzip,
        "pickle": pickle,
        "tegula": tegula,
        "asdf": ours,
        "UserDict": UserDict,
        "f": file,
        "a": file["data"],
        "path": path,
        "folder": str(tmp_path),
        "at_end": at_end,
        "open_": lambda **options: ours.open(path, **options),
        "printed": lambda *arguments, **options: printed(capsys, *arguments, **options),
    }


def check(value, expected):
    if isinstance(expected, Shows):
        assert re.search(expected.pattern, str(value)), str(value)
    elif isinstance(expected, Is):
        assert isinstance(value, expected.kind), value
    elif isinstance(expected, tuple):
        assert len(value) == len(expected)
        for found, wanted in zip(value, expected, strict=True):
            check(found, wanted)
    elif isinstance(expected, np.ndarray):
        assert isinstance(value, np.ndarray)
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
        assert np.array_equal(np.ma.getmaskarray(value), np.ma.getmaskarray(expected))
    else:
        assert value == expected or (value is None and expected is None), value


@pytest.mark.parametrize(("expression", "expected"), ROWS, ids=[expression for expression, _ in ROWS])
def test_expressions(names, expression, expected):
    if isinstance(expected, Raises):
        with pytest.raises(expected.kind, match=expected.text or None):
            eval(expression, names)
    else:
        check(eval(expression, names), expected)
