"""Remote arrays: over HTTP from a server that counts requests and can fail, and on S3 (moto)."""

import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import boto3
import numpy as np
import pytest
from conftest import LAYOUTS, content, properties

import tegula

HERE = Path(__file__).parent
NEVER = {"retries": 0, "timeout": 10}


class Served:
    """A folder, the URL of its server, and the server's counters."""

    def __init__(self, folder, latency=0):
        self.folder = folder
        command = [sys.executable, HERE / "range_server.py", folder, "--latency", str(latency)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def counts(self):
        """What was asked since the last call: a number for each method."""
        with urlopen(f"{self.url}/-/counts") as answer:
            return json.load(answer)

    def gets(self):
        """The same where all of it must have been GET."""
        counts = self.counts()
        assert set(counts) <= {"GET"}
        return counts.get("GET", 0)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Served(tmp_path_factory.mktemp("served"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """The same server with a latency of 20 ms."""
    server = Served(tmp_path_factory.mktemp("far"), 0.02)
    yield server
    server.close()


def in_child(work):
    """Return whether ``work`` is true in a forked process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


# Reads, and the number of requests they take.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(served, layout):
    name = layout.replace(" ", "-")
    wanted = properties(layout)
    elements = content(wanted["shape"], wanted["dtype"])
    tegula.create_array(served.folder / name, **wanted)[...] = elements
    served.counts()
    array = tegula.open_array(f"{served.url}/{name}")
    assert (array[...] == elements).all()
    if elements.ndim:
        assert (array[::3] == elements[::3]).all()
        assert (array[-1] == elements[-1]).all()
    if elements.ndim == 2:
        assert (array[3:11, 5:9] == elements[3:11, 5:9]).all()
        assert (array[[7, 1, 16]] == elements[[7, 1, 16]]).all()
        assert (array[elements > 300] == elements[elements > 300]).all()


def test_a_chunk_is_one_request(served):
    elements = np.arange(60 * 60, dtype="int32").reshape(60, 60)
    elements[40:, 40:] = 0
    tegula.create_array(served.folder / "chunks-zstd", data=elements, chunks=(20, 20), compressors="zstd:1")
    tegula.create_array(served.folder / "chunks-raw", data=elements, chunks=(20, 20), compressors=None)
    for name in ("chunks-zstd", "chunks-raw"):
        served.counts()
        array = tegula.open_array(f"{served.url}/{name}")
        assert served.gets() == 1
        assert (array[...] == elements).all()  # one of the chunks is not stored
        assert served.gets() == 9
        assert (array[25:27, 25:35] == elements[25:27, 25:35]).all()
        assert served.gets() == 1
        assert array[59, 59] == 0
        assert served.gets() == 1
    before = array.store.stats["bytes_read"]
    assert (array[41, :20] == elements[41, :20]).all()
    assert array.store.stats["bytes_read"] - before == 80


@pytest.fixture(scope="module")
def shards(far):
    """Eight shards of 64 inner chunks each."""
    elements = np.random.default_rng(1).integers(0, 1 << 16, (512, 1024)).astype("uint16")
    elements[:32, :32] = 0
    tegula.create_array(far.folder / "shards", data=elements, chunks=(32, 32), shards=(256, 256), compressors="zstd:1")
    return elements


def test_a_shard_is_two_requests(far, shards):
    array = tegula.open_array(f"{far.url}/shards")
    far.counts()
    assert (array[10:50, 20:60] == shards[10:50, 20:60]).all()
    assert far.gets() == 2  # the index and the inner chunks
    assert (array[100:150, 20:60] == shards[100:150, 20:60]).all()
    assert far.gets() == 1  # the index is cached
    assert (array[0, :5] == 0).all()  # the inner chunk is not stored: the only request checks the shard's version
    assert sum(far.counts().values()) == 1


def test_a_band_of_shards_is_read_at_once(far, shards):
    array = tegula.open_array(f"{far.url}/shards")
    tegula.open_array(f"{far.url}/shards")[300, 300]
    far.counts()
    begun = time.perf_counter()
    assert (array[256:] == shards[256:]).all()
    assert far.gets() <= 13
    # Takes 0.1 s on an idle machine; 256 sequential requests would take 5 s.
    assert time.perf_counter() - begun < 2


def test_many_chunks_are_read_at_once(far):
    elements = np.arange(256 * 16, dtype="int32")
    tegula.create_array(far.folder / "many", data=elements, chunks=16)
    array = tegula.open_array(f"{far.url}/many")
    far.counts()
    begun = time.perf_counter()
    assert (array[...] == elements).all()
    assert time.perf_counter() - begun < 3
    assert far.gets() == 256


def test_an_asdf_cutout_takes_few_requests(served):
    flux = np.arange(600 * 500, dtype="float32").reshape(600, 500)
    zarr = tegula.create_array(tegula.MemoryStore(), data=flux, chunks=(50, 50), compressors="zstd:1")
    tree = {"roman": {"flux": flux, "list": [np.arange(30000), np.arange(7)]}, "zarr": zarr}
    tegula.AsdfFile(tree).write_to(served.folder / "a.asdf")
    served.counts()
    with tegula.asdf.open(f"{served.url}/a.asdf") as file:
        assert (file["roman"]["flux"][100:120, 200:220] == flux[100:120, 200:220]).all()
        assert served.gets() <= 4
        assert (file["roman"]["list"][1][...] == np.arange(7)).all()
    served.counts()
    array = tegula.open_array(f"{served.url}/a.asdf#zarr")
    assert (array[101:140, 205:250] == flux[101:140, 205:250]).all()
    assert served.gets() <= 4
    assert (array[...] == flux).all()
    assert (tegula.open_array(f"{served.url}/a.asdf#roman/flux")[...] == flux).all()


def test_a_zip_archive_is_read(served):
    elements = np.arange(100, dtype="int16").reshape(10, 10)
    group = tegula.create_group(served.folder / "in")
    group.create_array("b/c", data=elements, chunks=(5, 5))
    with zipfile.ZipFile(served.folder / "d.zarr.zip", "w") as archive:
        for path in sorted((served.folder / "in").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(served.folder / "in"))
    served.counts()
    array = tegula.open_array(f"{served.url}/d.zarr.zip/b/c")
    assert (array[...] == elements).all()
    assert served.gets() <= 6
    assert list(tegula.open_group(f"{served.url}/d.zarr.zip").kinds(recursive=True)) == ["b", "b/c"]
    assert (pickle.loads(pickle.dumps(array))[3] == elements[3]).all()


def test_groups_are_found_by_consolidated_metadata(served):
    group = tegula.create_group(served.folder / "g")
    for number in range(5):
        group.create_array(f"sub/{number}", data=np.full(3, number))
    plain = tegula.open_group(f"{served.url}/g")
    assert (plain["sub/3"][...] == 3).all()
    with pytest.raises(tegula.UnsupportedError, match=r"cannot be listed.* consolidate"):
        list(plain)
    tegula.consolidate_metadata(served.folder / "g")
    served.counts()
    found = tegula.open_group(f"{served.url}/g")
    assert list(found.kinds(recursive=True)) == ["sub", *(f"sub/{number}" for number in range(5))]
    assert served.gets() == 1
    assert (found["sub"]["4"][...] == 4).all()
    assert served.gets() == 1


def test_changes_are_read_again(served):
    for name, options in (("plain", {}), ("shard", {"shards": (8, 8)}), ("raw", {"compressors": None})):
        local = tegula.create_array(served.folder / "moves" / name, data=np.full((8, 8), 1), chunks=(4, 4), **options)
        array = tegula.open_array(f"{served.url}/moves/{name}").with_cache(1 << 20)
        assert (array[...] == 1).all()
        for value in (2, 3):
            local[...] = value
            assert (array[1:6, 1:6] == value).all()
            assert (array[...] == value).all()


@pytest.mark.parametrize("how", ["weak", "nameless"])
def test_a_server_without_strong_etags(served, how):
    elements = np.arange(64, dtype="int32").reshape(8, 8)
    tegula.create_array(served.folder / "etag" / how, data=elements, chunks=(2, 2), shards=(4, 4))
    array = tegula.open_array(f"{served.url}/!{how}/etag/{how}")
    for _ in range(2):
        assert (array[...] == elements).all()
        assert (array[3:5, 1:7] == elements[3:5, 1:7]).all()


def test_a_handle_is_used_by_threads_children_and_elsewhere(served):
    elements = np.arange(40 * 40, dtype="int32").reshape(40, 40)
    tegula.create_array(served.folder / "used", data=elements, chunks=(5, 5), shards=(20, 20))
    array = tegula.open_array(f"{served.url}/used")

    def row(number):
        return (array[number] == elements[number]).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(row, list(range(40)) * 3))
    # Fork after request threads have started, and fork the child again.
    assert all(in_child(lambda: row(3)) for _ in range(3))
    assert in_child(lambda: in_child(lambda: row(4)) and row(5))
    again = pickle.loads(pickle.dumps(array))
    assert again.store == array.store
    assert (again[...] == elements).all()
    assert row(6)


def test_urls_of_files(tmp_path):
    tegula.create_array(tmp_path / "a b.zarr", data=np.arange(3))
    url = (tmp_path / "a b.zarr").as_uri()
    assert (tegula.open_array(url)[...] == range(3)).all()
    tegula.AsdfFile({"x": np.arange(4)}).write_to(tmp_path / "x.asdf")
    assert (tegula.asdf.open((tmp_path / "x.asdf").as_uri())["x"][...] == range(4)).all()
    assert (tegula.open_array((tmp_path / "x.asdf").as_uri() + "#x")[...] == range(4)).all()
    with pytest.raises(TypeError, match="storage_options"):
        tegula.open_array(tmp_path / "a b.zarr", storage_options={"region": "x"})


# Failures.


@pytest.fixture(scope="module")
def hurt(served):
    elements = np.arange(4096, dtype="int32")
    tegula.create_array(served.folder / "e", data=elements, chunks=1024, compressors=None)
    tegula.create_array(served.folder / "s", data=elements, chunks=64, shards=1024, compressors=None)
    return elements


def opened(served, how, name="e", **options):
    """An array whose chunks fail to load."""
    url = f"{served.url}/!{how}/{name}"
    store = tegula.RemoteStore(url, **{**NEVER, **options})
    document = json.loads((served.folder / name / "zarr.json").read_bytes())
    assert document["shape"] == [4096]
    mapping = tegula.open_array(served.folder / name)
    native = tegula._tegula.Array.restore(store._native, "", 3, mapping.metadata, mapping.attrs.asdict())
    return tegula.Array._wrap(native, store)


def test_missing_objects(served):
    with pytest.raises(tegula.NotFoundError, match=rf"{served.url}/nowhere"):
        tegula.open_array(f"{served.url}/nowhere")
    with pytest.raises(tegula.NotFoundError):
        tegula.asdf.open(f"{served.url}/nowhere.asdf")
    with pytest.raises(tegula.StoreError, match="connect"):
        tegula.open_array("http://127.0.0.1:1/a", storage_options=NEVER)
    with pytest.raises(tegula.UnsupportedError, match="ftp"):
        tegula.open_array("ftp://example.org/a")
    with pytest.raises(tegula.UnsupportedError, match="colour"):
        tegula.RemoteStore("s3://bucket", colour="red")


def test_forbidden_objects(served, hurt):
    url = f"{served.url.replace('//', '//me:passport@')}/!secret/e"
    with pytest.raises(tegula.StoreError, match="403") as raised:
        tegula.open_array(url, storage_options={"headers": {"Authorization": "Bearer mumble"}})
    told = str(raised.value) + repr(tegula.RemoteStore(url, headers={"Authorization": "Bearer mumble"}))
    assert f"{served.url}/!secret/e" in told
    assert not [secret for secret in ("passport", "mumble", "hush") if secret in told]
    known = {"headers": {"Authorization": "Bearer hush"}}
    array = tegula.open_array(f"{served.url}/!secret/e", storage_options=known)
    assert (pickle.loads(pickle.dumps(array))[...] == hurt).all()


def test_failing_servers(served, hurt):
    served.counts()
    with pytest.raises(tegula.StoreError, match=r"!broken/e/zarr.json.* 500 .*tried 3 times"):
        tegula.open_array(f"{served.url}/!broken/e", storage_options={"retries": 2})
    assert served.gets() == 3
    assert (tegula.open_array(f"{served.url}/!tired/e")[...] == hurt).all()
    begun = time.perf_counter()
    with pytest.raises(tegula.StoreError, match="time"):
        tegula.open_array(f"{served.url}/!slow/e", storage_options={"retries": 0, "timeout": 0.3})
    assert time.perf_counter() - begun < 4


@pytest.mark.parametrize("name", ["e", "s"])
@pytest.mark.parametrize("how", ["cut", "whole", "liar", "vast", "broken"])
def test_invalid_responses(served, hurt, how, name):
    array = opened(served, how, name)
    try:
        found = array[100:200]
    except (tegula.StoreError, tegula.CorruptDataError) as error:
        assert f"!{how}/{name}" in str(error)  # noqa: PT017 - some of these can be made sense of
    else:
        assert how in ("vast", "whole")
        assert (found == hurt[100:200]).all()


def test_http_is_read_only(served, hurt):
    array = tegula.open_array(f"{served.url}/e")
    with pytest.raises(tegula.UnsupportedError, match="read-only"):
        array[0] = 1
    with pytest.raises(tegula.UnsupportedError, match="read-only"):
        tegula.create_array(f"{served.url}/new", shape=(3,), dtype="int8")


# S3.


@pytest.fixture(scope="module")
def s3():
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", HERE / "s3_server.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto"},
    )
    endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
    known = {"aws_access_key_id": "me", "aws_secret_access_key": "hush", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **known)
    client.create_bucket(Bucket="box")
    options = {
        "endpoint": endpoint,
        "allow_http": True,
        "region": "us-east-1",
        "access_key_id": "me",
        "secret_access_key": "hush",
    }
    yield client, options
    client.close()
    process.terminate()
    process.wait()
    process.stdout.close()


def objects(client, prefix):
    found = client.list_objects_v2(Bucket="box", Prefix=prefix).get("Contents", [])
    return {entry["Key"]: client.get_object(Bucket="box", Key=entry["Key"])["Body"].read() for entry in found}


@pytest.mark.parametrize("layout", ["plain", "zstd", "sharded zstd", "one shard", "v2"])
def test_s3_keeps_arrays(s3, layout):
    import zarr

    client, options = s3
    name = layout.replace(" ", "-")
    wanted = properties(layout)
    elements = content(wanted["shape"], wanted["dtype"])
    array = tegula.create_array(tegula.RemoteStore(f"s3://box/{name}", options), **wanted)
    array[...] = elements
    array[3:9, 5] = elements[3:9, 5] = 77
    again = tegula.open_array(f"s3://box/{name}", mode="r", storage_options=options)
    assert (again[...] == elements).all()
    memory = zarr.storage.MemoryStore(
        {key: zarr.core.buffer.cpu.Buffer.from_bytes(value) for key, value in objects(client, f"{name}/").items()}
    )
    assert (zarr.open_array(memory, path=name, mode="r")[...] == elements).all()
    array[...] = 3  # the fill value: the chunks are erased
    assert not [key for key in objects(client, f"{name}/") if not key.endswith((".json", ".zarray", ".zattrs"))]
    assert (again[...] == 3).all()


def test_s3_keeps_groups(s3):
    _, options = s3
    group = tegula.create_group(tegula.RemoteStore("s3://box/groups/one", options))
    group.create_array("a/b", data=np.arange(5))
    group.attrs["x"] = 1
    found = tegula.open_group("s3://box/groups/one", storage_options=options)
    assert found.attrs == {"x": 1}
    assert sorted(found.kinds(recursive=True)) == ["a", "a/b"]
    array = found["a/b"]
    assert array.append(np.arange(3)) == (8,)
    array.attrs["y"] = [2]
    assert (
        tegula.open_array("s3://box/groups/one/a/b", storage_options=options)[...] == [0, 1, 2, 3, 4, 0, 1, 2]
    ).all()
    report = tegula.validate(found.store)
    assert (report.ok, report.arrays, report.groups) == (True, 1, 2)
    tegula.create_group(tegula.RemoteStore("s3://box/groups/one", options), overwrite=True)
    assert list(tegula.open_group("s3://box/groups/one", storage_options=options)) == []


def test_s3_keeps_files(s3, tmp_path):
    client, options = s3
    flux = np.arange(300 * 200, dtype="float64").reshape(300, 200)
    tegula.AsdfFile({"roman": {"data": flux}}).write_to(tmp_path / "a.asdf")
    client.upload_file(str(tmp_path / "a.asdf"), "box", "files/a.asdf")
    array = tegula.open_array("s3://box/files/a.asdf#roman/data", storage_options=options)
    assert (array[100:110, 50:60] == flux[100:110, 50:60]).all()
    assert (tegula.asdf.open("s3://box/files/a.asdf", storage_options=options)["roman"]["data"][7] == flux[7]).all()


def test_s3_from_the_environment(s3, monkeypatch):
    _, options = s3
    for name in ("endpoint", "region", "access_key_id", "secret_access_key"):
        monkeypatch.setenv(f"AWS_{name.upper()}", options[name])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    tegula.create_array("s3://box/environment", data=np.arange(4))
    assert (tegula.open_array("s3://box/environment")[...] == range(4)).all()


def test_s3_secrets_are_not_shown(s3):
    _, options = s3
    with pytest.raises(tegula.StoreError) as raised:
        tegula.create_array(tegula.RemoteStore("s3://nowhere/a", options, retries=0), shape=(2,), dtype="int8")
    told = str(raised.value) + repr(tegula.RemoteStore("s3://nowhere", options))
    assert "s3://nowhere/a" in told
    assert "hush" not in told


def test_s3_takes_options_everywhere(s3):
    _, options = s3
    how = {"storage_options": options}
    tegula.create_group("s3://box/options", attributes={"x": 1}, **how)
    array = tegula.create_array("s3://box/options/a", shape=(6,), chunks=(2,), dtype="int32", **how)
    array[2:] = [1, 2, 3, 4]
    assert (tegula.load("s3://box/options", "a", **how) == [0, 0, 1, 2, 3, 4]).all()
    tegula.save("s3://box/options/b", np.arange(3), **how)
    tegula.save("s3://box/options", {"d": np.eye(2)}, "c", **how)
    tegula.copy(array, "s3://box/options/e", zarr_format=2, **how)
    tegula.copy(np.arange(4), "s3://box/options/f", **how)
    tegula.rechunk(array, "s3://box/options", "g", chunks=3, **how)
    tegula.delete("s3://box/options/b", **how)
    assert tegula.consolidate_metadata("s3://box/options", "c", **how).is_consolidated
    group = tegula.open_group("s3://box/options", **how)
    assert sorted(group.kinds(recursive=True)) == ["a", "c", "c/d", "e", "f", "g"]
    assert tegula.validate("s3://box/options", **how).ok
    assert (group["g"][...] == array[...]).all()
    for make in (
        lambda: tegula.create_group({}, **how),
        lambda: tegula.create_array("here.zarr", shape=(), dtype="int8", **how),
        lambda: tegula.copy(array, {}, **how),
    ):
        with pytest.raises(TypeError, match="storage_options are for URLs"):
            make()


TILES = [(y, x) for y in range(0, 64, 8) for x in range(0, 64, 8)]


def write_tiles(array, numbers):
    for number in numbers:
        y, x = TILES[number]
        array[y : y + 8, x : x + 8] = number + 1
    return True


@pytest.mark.parametrize("layout", [{"shards": (64, 64), "chunks": (8, 8)}, {"chunks": (64, 64), "compressors": None}])
@pytest.mark.parametrize("together", ["processes", "threads"])
def test_s3_loses_nothing(s3, together, layout):
    """S3 objects cannot be locked: a writer detects another's version and starts again."""
    _, options = s3
    name = f"s3://box/tiles-{together}-{len(layout['chunks'])}{'shards' in layout}"
    array = tegula.create_array(tegula.RemoteStore(name, options), shape=(64, 64), dtype="uint8", **layout)
    if together == "threads":
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda first: write_tiles(array, range(first, 64, 4)), range(4)))
    else:
        children = []
        for first in range(2):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = 0 if write_tiles(array, range(first, 64, 2)) else 1
                finally:
                    os._exit(code)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    found = tegula.open_array(name, storage_options=options)[...]
    assert not [n for n, (y, x) in enumerate(TILES) if (found[y : y + 8, x : x + 8] != n + 1).any()]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_s3_loses_no_metadata(s3, zarr_format):
    """Processes that append, and set attributes, at the same time."""
    _, options = s3
    url = f"s3://box/changes-{zarr_format}"
    how = {"storage_options": options}
    tegula.create_array(url, "a", shape=(0,), chunks=(7,), dtype="int32", zarr_format=zarr_format, **how)
    code = f"""
import json, sys
import numpy as np, tegula
number, how = int(sys.argv[1]), {{"storage_options": json.loads(sys.argv[2])}}
array, group = tegula.open_array({url!r}, "a", **how), tegula.open_group({url!r}, **how)
for k in range(20):
    array.append(np.full(3, 100 * number + k + 1))
    array.attrs[f"{{number}}-{{k}}"] = k
    group.attrs[f"{{number}}-{{k}}"] = k
"""
    arguments = [[sys.executable, "-c", code, str(number), json.dumps(options)] for number in range(2)]
    running = [subprocess.Popen(argument) for argument in arguments]
    assert [process.wait() for process in running] == [0, 0]
    array = tegula.open_array(url, "a", mode="r", **how)
    due = {f"{number}-{k}": k for number in range(2) for k in range(20)}
    assert array.attrs == due
    assert tegula.open_group(url, mode="r", **how).attrs == due
    assert array.shape == (120,)
    parts = array[...].reshape(40, 3)
    assert (parts == parts[:, :1]).all()
    assert sorted(parts[:, 0]) == [100 * number + k + 1 for number in range(2) for k in range(20)]
    # The rows of each writer are in order.
    for number in range(2):
        own = [part for part in parts[:, 0] if part // 100 == number]
        assert own == sorted(own)
    array = tegula.open_array(url, "a", **how)
    array.resize(8)
    array.attrs.clear()
    array = tegula.open_array(url, "a", **how)
    assert (array.shape, array.attrs) == ((8,), {})
