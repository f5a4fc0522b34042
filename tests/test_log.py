"""The logger `tegula`."""

import logging
import threading
import time

import pytest

import tegula


def test_events_are_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(dict[str, bytes]):
        def __setitem__(self, key: str, value: bytes) -> None:
            if key.startswith("c/"):
                time.sleep(0.2)
            super().__setitem__(key, value)

    array = tegula.create_array(Slow(), shape=(8,), dtype="u1", chunks=(8,))

    def write() -> None:
        threads = [threading.Thread(target=array.__setitem__, args=(..., k)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    write()
    assert not caplog.records, "the logger is off"
    with caplog.at_level(logging.DEBUG, logger="tegula"):
        write()
        assert any("waiting for the lock of c/0" in record.message for record in caplog.records)
        assert {record.name for record in caplog.records} == {"tegula"}
        assert all(abs(record.created - time.time()) < 60 for record in caplog.records)
    caplog.clear()
    write()
    assert not caplog.records, "the logger is off again"


def test_other_levels_count() -> None:
    logger = logging.getLogger("tegula")
    root = logging.getLogger()
    before = root.level
    try:
        root.setLevel(logging.DEBUG)
        assert logger.isEnabledFor(logging.DEBUG)
        logging.disable(logging.DEBUG)
        assert not logger.isEnabledFor(logging.DEBUG)
    finally:
        logging.disable(logging.NOTSET)
        root.setLevel(before)
