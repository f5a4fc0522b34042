"""Files and their external blocks change together or not at all, whoever else writes, and whenever a writer dies."""

import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import tegula
import tegula.asdf


def tree(generation, size=300):
    full = np.full
    return {"g": generation, "a": full((size, size), generation, "i4"), "b": full((60, 60), generation, "i4")}


def write(path, generation, **options):
    tegula.AsdfFile(tree(generation, **options)).write_to(path, all_array_storage="external")


def generation(file) -> int:
    """Return the only generation that a file consists of."""
    found = {file["g"], *np.unique(file["a"][...]).tolist(), *np.unique(file["b"][...]).tolist()}
    assert len(found) == 1, found
    return found.pop()


def names(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_an_update_refuses_to_overwrite_the_changes_of_others(tmp_path):
    path = tmp_path / "a.asdf"
    tegula.AsdfFile({"a": 1, "rows": np.zeros((2, 3))}).write_to(path)
    old, other = tegula.open_asdf(path), tegula.open_asdf(path)
    other["x"] = 1
    other.update()
    before = path.read_bytes()
    old["y"] = 2
    with pytest.raises(tegula.StoreError, match="changed since it was opened"):
        old.update()
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.asdf"]
    # The file's own updates, a new name of the file and other permissions are no changes.
    os.chmod(path, 0o640)
    os.link(path, tmp_path / "b.asdf")
    for value in range(3):
        other["x"] = value
        other.update()
    assert tegula.open_asdf(path)["x"] == 2
    old.write_to(tmp_path / "c.asdf")
    assert tegula.open_asdf(tmp_path / "c.asdf")["y"] == 2
    path.unlink()
    with pytest.raises(tegula.StoreError, match="changed since it was opened"):
        other.update()


def test_an_update_does_not_drop_rows_that_were_appended(tmp_path):
    path = tmp_path / "a.asdf"
    tegula.AsdfFile({"rows": np.zeros((2, 3))}).write_to(path, all_array_storage="streamed")
    file = tegula.open_asdf(path)
    file.append("rows", np.ones((1, 3)))
    file["x"] = 1
    with pytest.raises(tegula.StoreError, match="changed since it was opened"):
        file.update()
    assert tegula.open_asdf(path)["rows"].shape == (3, 3)


def test_one_of_many_updates_wins_each_time(tmp_path):
    path = tmp_path / "a.asdf"
    tegula.AsdfFile({"done": []}).write_to(path)

    def work(number):
        while True:
            file = tegula.open_asdf(path)
            file["done"].append(number)
            try:
                return file.update()
            except tegula.StoreError:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tegula.open_asdf(path)["done"]) == list(range(8))
    assert names(tmp_path) == ["a.asdf"]


def test_external_blocks_get_new_names_and_old_ones_go(tmp_path):
    path = tmp_path / "a b.asdf"
    reader = None
    for number in range(3):
        write(path, number)
        assert names(tmp_path) == ["a b.asdf", f"a b{2 * number:04}.asdf", f"a b{2 * number + 1:04}.asdf"]
        if reader is not None:
            assert generation(reader) == number - 1
        reader = tegula.open_asdf(path, memmap=False)
    with tegula.open_asdf(path) as file:
        file["new"] = 1
        file.update()
        assert names(tmp_path) == ["a b.asdf"]
        assert generation(file) == 2
    assert generation(tegula.open_asdf(path)) == 2


def test_files_of_others_stay(tmp_path):
    """Only blocks of this file go: not files of a similar name, and not blocks that a copy of the file needs."""
    path = tmp_path / "a.asdf"
    others = {"a0007.asdf": {"x": 1}, "a00001.asdf": {}, "ab0000.asdf": {}, "a1.asdf": {}}
    for name, content in others.items():
        tegula.AsdfFile(content).write_to(tmp_path / name)
    write(path, 1)
    (tmp_path / "copy.asdf").write_bytes(path.read_bytes())
    write(path, 2)
    write(path, 3)
    assert generation(tegula.open_asdf(tmp_path / "copy.asdf")) == 1
    assert generation(tegula.open_asdf(path)) == 3
    assert tegula.validate(path, repair=True).removed == []
    assert {"a0008.asdf", "a0009.asdf", *others} <= set(names(tmp_path))
    assert "a0010.asdf" not in names(tmp_path)
    (tmp_path / "copy.asdf").unlink()
    write(path, 4)
    assert names(tmp_path) == sorted(["a.asdf", "a0014.asdf", "a0015.asdf", *others])


def test_a_reader_whose_blocks_are_gone_says_so(tmp_path):
    path = tmp_path / "a.asdf"
    many = {f"x{number}": np.full(10, number) for number in range(40)}
    tegula.AsdfFile(many).write_to(path, all_array_storage="external")
    reader = tegula.open_asdf(path)
    tegula.AsdfFile({}).write_to(path)
    assert names(tmp_path) == ["a.asdf"]
    for name in list(many)[:16]:
        assert reader[name][...].tolist() == many[name].tolist()
    with pytest.raises(tegula.StoreError, match="open it again"):
        reader["x39"][...]


def test_a_full_disk_changes_nothing(tmp_path):
    path = tmp_path / "a.asdf"
    write(path, 1)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (370_000, 370_000))
        code = 1
        try:
            write(path, 2, size=400)
        except tegula.StoreError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


KILLED = """
import os, sys
import numpy as np, tegula
path, delay = sys.argv[1], float(sys.argv[2])
import threading, time, signal
def kill():
    time.sleep(delay); os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
for number in range(1, 100000):
    tree = {"g": number, "a": np.full((300, 300), number, "i4"), "b": np.full((60, 60), number, "i4")}
    tegula.AsdfFile(tree).write_to(path, all_array_storage="external")
"""


def test_a_kill_leaves_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "a.asdf"
    write(path, 0)
    for attempt in range(6):
        command = [sys.executable, "-c", KILLED, str(path), str(0.05 + 0.013 * attempt)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        generation(tegula.open_asdf(path))
    used = {name for name in names(tmp_path) if name in path.read_bytes().decode("latin1")} | {"a.asdf"}
    found = tegula.validate(path)
    assert found.problems == []
    assert {os.path.basename(name) for name in found.leftovers} == set(names(tmp_path)) - used
    (tmp_path / "a9000.asdf").write_bytes(b"#ASDF 1.0.0\n#TEGULA_BLOCK_OF a.asdf\n")
    assert tegula.validate(path, repair=True).removed
    assert set(names(tmp_path)) == used
    assert tegula.validate(path).ok
    (tmp_path / "a9000.asdf").write_bytes(b"#ASDF 1.0.0\n#TEGULA_BLOCK_OF a.asdf\n")
    write(path, 7)
    assert names(tmp_path) == ["a.asdf", "a9001.asdf", "a9002.asdf"]


def test_the_command_repairs_one_file(tmp_path):
    path = tmp_path / "a.asdf"
    write(path, 1)
    (tmp_path / "a0009.asdf").write_bytes(b"#ASDF 1.0.0\n#TEGULA_BLOCK_OF a.asdf\n")

    def run(*options):
        command = [sys.executable, "-m", "tegula", "validate", str(path), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    found = run()
    assert found.returncode == 1
    assert "a0009.asdf: left by a killed process" in found.stdout
    assert "removed" in run("--repair").stdout
    assert run().stdout == f"{path}: 0 blocks, 2 arrays: no problems\n"


def test_damaged_blocks_are_listed(tmp_path):
    path = tmp_path / "a.asdf"
    arrays = {name: np.arange(1000) + number for number, name in enumerate("abc")}
    tegula.AsdfFile({**arrays, "z": tegula.asdf.chunked(np.arange(100), chunks=10)}).write_to(
        path, all_array_compression="zlib"
    )
    assert tegula.validate(path).ok
    data = bytearray(path.read_bytes())
    offsets = [block["offset"] for block in tegula.open_asdf(path).blocks]
    for number in (0, 2, 5):
        data[offsets[number] + 60] ^= 0xFF
    path.write_bytes(data)
    found = tegula.validate(path)
    assert [number for number in range(20) if any(f"block {number}:" in str(p) for p in found.problems)] == [0, 2, 5]
    assert (found.blocks, found.arrays) == (len(offsets), 4)
