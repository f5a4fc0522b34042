"""Servers as they are: each of their manners with arrays, shards, archives, ASDF files and groups."""

import time
import zipfile
from email.utils import formatdate

import numpy as np
import pytest
from odd_server import serving

import tegula

QUICK = {"retry_timeout": 0.4, "timeout": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An array, a sharded array, an archive, an ASDF file and a consolidated group, with random elements."""
    top = tmp_path_factory.mktemp("odd")
    values = np.random.default_rng(5).integers(0, 1 << 30, (64, 64))
    tegula.create_array(top / "plain", data=values, chunks=(32, 32), compressors=None)
    tegula.create_array(top / "zstd", data=values, chunks=(32, 32), compressors="zstd:1")
    tegula.create_array(top / "v2", data=values, chunks=(32, 32), zarr_format=2, attributes={"x": 1})
    tegula.create_array(top / "shards", data=values, chunks=(8, 8), shards=(32, 32), compressors="zstd:1")
    sparse = tegula.create_array(top / "sparse", shape=(64, 64), dtype="int64", chunks=(32, 32), fill_value=7)
    sparse[:32] = values[:32]
    group = tegula.create_group(top / "group", attributes={"k": "v"})
    group.create_array("sub/a", data=values, chunks=(32, 32))
    tegula.consolidate_metadata(top / "group")
    tegula.AsdfFile({"a": values, "b": {"c": np.arange(5)}}).write_to(top / "file.asdf")
    with zipfile.ZipFile(top / "all.zip", "w") as archive:
        for path in sorted((top / "shards").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(top))
    (top / "empty").write_bytes(b"")
    return top, values


def read_array(url, values, **options):
    array = tegula.open_array(f"{url}/plain", storage_options=options)
    assert (array[...] == values).all()
    assert (array[3:9, 30:35] == values[3:9, 30:35]).all()
    assert (tegula.open_array(f"{url}/zstd", storage_options=options)[5:50] == values[5:50]).all()


def read_sparse(url, values, **options):
    array = tegula.open_array(f"{url}/sparse", storage_options=options)
    assert (array[:32] == values[:32]).all()
    assert (array[32:] == 7).all()


def read_shards(url, values, **options):
    array = tegula.open_array(f"{url}/shards", storage_options=options)
    assert (array[0, :3] == values[0, :3]).all()
    assert (array[...] == values).all()
    assert (array[20:40, 1:33] == values[20:40, 1:33]).all()


def read_archive(url, values, **options):
    array = tegula.open_array(f"{url}/all.zip/shards", storage_options=options)
    assert (array[40:, :9] == values[40:, :9]).all()
    assert (array[...] == values).all()


def read_file(url, values, **options):
    with tegula.open_asdf(f"{url}/file.asdf", storage_options=options) as file:
        assert (file["a"][10:20, 3] == values[10:20, 3]).all()
        assert (file["b"]["c"][...] == np.arange(5)).all()
    assert (tegula.open_array(f"{url}/file.asdf#a", storage_options=options)[...] == values).all()


def read_group(url, values, **options):
    group = tegula.open_group(f"{url}/group", storage_options=options)
    assert group.attrs == {"k": "v"}
    assert list(group.members(recursive=True)) == ["sub", "sub/a"]
    assert (group["sub/a"][60:] == values[60:]).all()


READS = [read_array, read_sparse, read_shards, read_archive, read_file, read_group]

MANNERS = {
    "good": {},
    **{f"suffix {how}": {"suffix": how} for how in (400, 405, 416, 500, 501, "whole", "start", "close")},
    **{f"ranges {how}": {"ranges": how} for how in (400, 405, 416, 501, "whole", "wider", "headless")},
    "ranges whole, no version": {"ranges": "whole", "etag": None, "modified": False},
    "ranges whole, dated": {"ranges": "whole", "etag": None},
    "ranges whole, chunked": {"ranges": "whole", "length": "chunked"},
    "ranges whole, closed": {"ranges": "whole", "length": "closed", "head": "bare"},
    "ranges whole, no head": {"ranges": "whole", "head": 405},
    **{f"head {how}": {"head": how, "suffix": 501} for how in (400, 403, 405, 501, "empty", "bare", "close")},
    "short answers": {"most": 700},
    "no total": {"total": False},
    "no total, no suffix, no head": {"total": False, "suffix": 501, "head": 405},
    "weak etags": {"etag": "weak"},
    "no etags": {"etag": None},
    "no version": {"etag": None, "modified": False},
    "chunked": {"length": "chunked"},
    "chunked, no head": {"length": "chunked", "head": 501, "suffix": 400},
    "closed": {"length": "closed"},
    "gzip": {"encoding": "gzip"},
    "identity": {"encoding": "identity"},
    "cut once": {"cut": 300, "cuts": 2},
    "cut once, no version": {"cut": 300, "cuts": 2, "etag": None, "modified": False},
    "cut once, chunked": {"cut": 300, "cuts": 2, "length": "chunked"},
    "cut once, closed": {"cut": 300, "cuts": 2, "length": "closed"},
    "down": {"down": 3},
    "down with 500": {"down": 2, "failure": 500},
    "down with 429": {"down": 2, "failure": 429, "retry_after": "0"},
    "down, connections closed": {"down": 2, "failure": "close"},
    "absent is gone": {"missing": 410},
    "absent is not allowed": {"missing": 405},
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("manners", MANNERS)
def test_manners(folder, manners, read):
    top, values = folder
    with serving(top, **MANNERS[manners]) as (url, _):
        read(url, values)
        read(url, values)


@pytest.mark.parametrize("read", READS)
def test_absent_is_forbidden(folder, read):
    top, values = folder
    with serving(top, missing=403) as (url, _):
        read(url, values, missing_statuses=(403, 404))


WRONG = {
    "shifted": ({"ranges": "shifted"}, "wrong answer: 206 Partial Content"),
    "down": ({"down": 1 << 20}, "503 Service Unavailable.*tried"),
    "closed": ({"down": 1 << 20, "failure": "close"}, "closed"),
    "cut": ({"cut": 50}, "tried"),
    "compressed": ({"encoding": "br"}, '"br"'),
    "too large": ({"ranges": "whole"}, "byte ranges.*max_download"),
    "a teapot": ({"down": 1 << 20, "failure": 418}, "418"),
    "a proxy": ({"down": 1 << 20, "failure": 407}, "407"),
    "endless redirects": ({"location": ""}, "redirects more than 10"),
}


@pytest.mark.parametrize("read", [read_array, read_shards, read_archive, read_file])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_answers_are_no_damage(folder, wrong, read):
    top, values = folder
    manners, message = WRONG[wrong]
    if wrong == "shifted" and read is read_array:
        pytest.skip("the first reads are of whole objects")
    with serving(top, **manners) as (url, _):
        with pytest.raises(tegula.StoreError, match=message) as raised:
            read(url, values, max_download=1000 if wrong == "too large" else 1 << 30, **QUICK)
        assert url in str(raised.value)


def test_pages_are_no_objects(folder):
    top, _ = folder
    with serving(top, missing="page") as (url, _):
        with pytest.raises(tegula.StoreError, match=r"nowhere/zarr.json.*200 OK with a page in HTML"):
            tegula.open_array(f"{url}/nowhere")
        with pytest.raises(tegula.StoreError, match="page in HTML"):
            tegula.open_asdf(f"{url}/nowhere.asdf")
        with pytest.raises(tegula.StoreError, match="page in HTML"):
            tegula.open_array(f"{url}/sparse")[40:]


def test_large_objects_go_on_where_they_were_cut(tmp_path):
    values = np.random.default_rng(1).integers(0, 255, 3_000_000, "uint8")
    tegula.create_array(tmp_path / "large", data=values, chunks=3_000_000, compressors="zstd")
    with serving(tmp_path, cut=500_000) as (url, manners):
        array = tegula.open_array(f"{url}/large", storage_options={"retries": 1})
        assert (array[...] == values).all()
        ranges = [headers.get("range") for _, path, headers in manners.seen if path.endswith("c/0")]
        assert ranges[:3] == [None, "bytes=500000-", "bytes=1000000-"]
    with serving(tmp_path, cut=500_000, etag=None, modified=False) as (url, _):
        array = tegula.open_array(f"{url}/large", storage_options={"retries": 1})
        with pytest.raises(tegula.StoreError, match="tried 2 times"):
            array[...]


def test_timeouts_are_of_silence(folder):
    top, values = folder
    with serving(top, pace=0.05) as (url, _):
        begun = time.monotonic()
        array = tegula.open_array(f"{url}/plain", storage_options={"timeout": 0.3, "retries": 0})
        assert (array[...] == values).all()
        assert time.monotonic() - begun > 0.3


@pytest.mark.parametrize("pause", ["1", "date"])
def test_servers_say_when_to_return(folder, pause):
    top, values = folder
    when = pause if pause == "1" else formatdate(time.time() + 2, usegmt=True)
    with serving(top, down=1, failure=429, retry_after=when) as (url, _):
        begun = time.monotonic()
        read_array(url, values)
        assert 0.7 < time.monotonic() - begun < 10
    with serving(top, down=1, retry_after="3600") as (url, _):
        with pytest.raises(tegula.StoreError, match="503"):
            read_array(url, values)
        assert time.monotonic() - begun < 20


def test_redirects_are_followed_without_secrets(folder):
    top, values = folder
    with serving(top) as (there, target):
        for status in (301, 302, 303, 307, 308):
            with serving(top, location=there, status=status) as (url, origin):
                headers = {"Authorization": "Bearer hush", "X-Key": "hush"}
                array = tegula.open_array(f"{url}/plain", storage_options={"headers": headers})
                assert (array[3:9, 30:35] == values[3:9, 30:35]).all()
                assert all(seen.get("x-key") == "hush" for _, _, seen in origin.seen)
        assert target.seen
        assert not [value for _, _, seen in target.seen for value in seen.values() if "hush" in value]
    (top / "alias").mkdir(exist_ok=True)
    with serving(top, password="Bearer hush") as (url, manners):
        array = tegula.open_array(f"{url}/plain", storage_options={"headers": {"Authorization": "Bearer hush"}})
        manners.location, manners.status = "", 302
        with pytest.raises(tegula.StoreError, match="redirects"):
            array[...]


def test_users_and_passwords_of_urls(folder):
    top, values = folder
    with serving(top, password="Basic bWU6YSBi") as (url, _):
        assert (tegula.open_array(f"{url.replace('//', '//me:a%20b@')}/plain")[...] == values).all()
        with pytest.raises(
            tegula.StoreError, match=r"403 Forbidden.*headers=.*missing_statuses=\(403, 404\)"
        ) as raised:
            tegula.open_array(f"{url.replace('//', '//me:other@')}/plain")
        assert "other" not in str(raised.value)


def test_empty_objects(folder):
    top, _ = folder
    for manners in ({}, {"suffix": 416}, {"ranges": "whole"}, {"head": 405}, {"length": "chunked"}):
        with serving(top, **manners) as (url, _):
            assert tegula.RemoteStore(url)["empty"] == b""
            with pytest.raises(tegula.InvalidMetadataError):
                tegula.open_asdf(f"{url}/empty")


def test_whole_objects_are_read_once(folder):
    top, values = folder
    with serving(top, ranges="whole") as (url, manners):
        array = tegula.open_array(f"{url}/all.zip/shards")
        for row in range(0, 64, 8):
            assert (array[row] == values[row]).all()
        assert sum(method == "GET" and path == "/all.zip" for method, path, _ in manners.seen) <= 2


def test_options_are_checked():
    for options, message in (
        ({"missing_statuses": "soon"}, "missing_statuses"),
        ({"missing_statuses": (200,)}, "missing_statuses"),
        ({"timeout": -1}, "timeout"),
        ({"max_download": "a lot"}, "number of bytes"),
        ({"retrys": 3}, 'did you mean "retries"'),
        ({"anonymus": True}, 'did you mean "anonymous"'),
    ):
        with pytest.raises(tegula.Error, match=message):
            tegula.RemoteStore("http://localhost/x", **options)


def test_options_are_keywords_of_functions(folder, tmp_path):
    top, values = folder
    with serving(top, password="Bearer hush") as (url, _):
        how = {"headers": {"Authorization": "Bearer hush"}, "timeout": 20}
        assert (tegula.open_array(f"{url}/plain", **how)[...] == values).all()
        assert (tegula.open(f"{url}/plain", mode="r", **how)[...] == values).all()
        assert tegula.open_group(f"{url}/group", **how).attrs == {"k": "v"}
        assert (tegula.load(f"{url}/v2", **how) == values).all()
        assert (tegula.open_asdf(f"{url}/file.asdf", **how)["a"][...] == values).all()
        assert (tegula.copy(f"{url}/plain", tmp_path / "copy.zarr", **how)[...] == values).all()
        assert (tegula.rechunk(f"{url}/plain", tmp_path / "r.zarr", chunks=7, **how)[...] == values).all()
    for function in (tegula.open, tegula.open_array, tegula.open_group, tegula.load, tegula.open_asdf, tegula.validate):
        with pytest.raises(TypeError, match=r"anonymus.*did you mean 'anonymous'"):
            function("s3://bucket/a", anonymus=True)
    with pytest.raises(TypeError, match="did you mean 'endpoint'"):
        tegula.create_array("s3://bucket/a", shape=3, dtype="u1", endpont="http://localhost")
    with pytest.raises(TypeError, match="for URLs"):
        tegula.open_array(tmp_path / "copy.zarr", anonymous=True)


def test_formats_are_opened_without_looking_for_the_other(folder):
    top, values = folder
    with serving(top, missing=403) as (url, manners):
        array = tegula.open_array(f"{url}/v2", zarr_format=2)
        assert array.attrs == {"x": 1}
        assert (array[...] == values).all()
        assert not [path for _, path, _ in manners.seen if path.endswith("zarr.json")]
        # The answer to a request for zarr.json says nothing about .zarray.
        assert (tegula.open_array(f"{url}/v2")[...] == values).all()
        assert tegula.open_array(f"{url}/plain", zarr_format=3).shape == (64, 64)
        with pytest.raises(tegula.StoreError, match="403"):
            tegula.open_array(f"{url}/plain", zarr_format=2)
    for open_node in (tegula.open, tegula.open_array):
        with pytest.raises(tegula.NotFoundError):
            open_node(top / "plain", zarr_format=2)
        assert open_node(top / "v2", zarr_format=2).zarr_format == 2
    with pytest.raises(tegula.NotFoundError):
        tegula.open_group(top / "group", zarr_format=2)


def test_the_command_line_takes_options(folder, capsys):
    from tegula._cli import main

    top, _ = folder
    with serving(top, password="Bearer hush", missing=403) as (url, _):
        access = ["--header", "Authorization: Bearer hush", "--storage-option", "missing_statuses=403,404"]
        assert main(["info", f"{url}/sparse", *access]) == 0
        assert "64" in capsys.readouterr().out
        assert main(["info", f"{url}/sparse"]) == 1
        assert "missing_statuses" in capsys.readouterr().err
