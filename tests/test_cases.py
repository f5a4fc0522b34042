"""The conformance cases: data that other implementations wrote or test with, and hostile input.

This is for a workspace that has the conformance data beside the repository, in ../shared/cases; elsewhere it is
skipped. With CI in the environment it fails where the data are missing.

`out_of_scope` says what tegula does not read, with the reason, and has to refuse as such: wrong values, crashes and
the like are failures there too. Every other case has to pass.
"""

import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases"
ADAPTER = Path(__file__).parent / "cases_adapter.py"

CODECS = {"bytes", "transpose", "sharding_indexed", "blosc", "zstd", "gzip", "zlib", "crc32c", "lz4", "bz2", "none"}
TYPES = {"bool", "complex64", "complex128", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
V2_TYPES = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16|V[0-9]+)")
# A hostile case is vacuous where its valid twin is refused as well.
REFUSED = {"pass", "unsupported", "vacuous"}
ASDF_COMPRESSION = {"zlib", "bzp2", "lz4", "lz4f", "zstd", "blsc"}


def out_of_scope(case: dict[str, Any]) -> str | None:
    """Why a case is not counted, or None."""
    tags = set(case["tags"])
    if case["format"] == "asdf":
        for tag in tags:
            if tag.startswith("asdf:compressed-") and tag.removeprefix("asdf:compressed-") not in ASDF_COMPRESSION:
                return f"compression {tag.removeprefix('asdf:compressed-')} of ASDF blocks"
        return zarr_in_asdf(case) if case["category"] == "asdf-zarr" else None
    if "grid:rectilinear" in tags or "rectilinear" in case["id"]:
        return "rectilinear chunk grids"
    dtype = case.get("dtype")
    if isinstance(dtype, str):
        if dtype not in TYPES and not V2_TYPES.fullmatch(dtype):
            return f"data type {re.sub(r'[0-9]+|<|>|[|]', '', dtype) if case['format'] == 'zarr2' else dtype}"
    elif dtype is not None and not (isinstance(dtype, dict) and dtype["name"] == "raw_bytes"):
        return f"data type {dtype['name'] if isinstance(dtype, dict) else 'structured'}"
    for tag in sorted(tags):
        kind, _, name = tag.partition(":")
        if kind in ("codec", "filter"):
            name = name.removeprefix("numcodecs.")
            if name not in CODECS and not name.startswith(("blosc-", "zstd-")):
                return f"{kind} {name}"
    for name in case.get("codecs") or []:
        if name.removeprefix("numcodecs.") not in CODECS:
            return f"codec {name}"
    return None


def zarr_in_asdf(case: dict[str, Any]) -> str | None:
    """Why a case of a Zarr array in an ASDF file is not counted, or None; its tags do not say what the array needs."""
    tree = (CASES / "public" / case["path"]).read_bytes().partition(b"\xd3BLK")[0].decode()
    for dtype in re.findall(r"\bdtype: ['\"]?([^,'\"}\s]+)", tree):
        if not V2_TYPES.fullmatch(dtype):
            return f"data type {re.sub(r'[0-9]+|<|>|[|]', '', dtype)}"
    for name in re.findall(r"\bid: (\w+)", tree):
        if name not in CODECS:
            return f"filter {name}"
    return None


def test_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = CASES / "public" / "manifest.json"
    if not manifest.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"the conformance cases are not in {CASES}")
        pytest.skip(f"no conformance cases in {CASES}")
    outcome_file = tmp_path / "outcome.json"
    command = [sys.executable, CASES / "run_cases.py", "--adapter", ADAPTER, "--manifest", manifest]
    run = subprocess.run([*command, "--json", outcome_file, "--jobs", "2"], capture_output=True, text=True, check=False)
    assert outcome_file.is_file(), run.stdout + run.stderr

    cases = {case["id"]: case for case in json.loads(manifest.read_text())["cases"]}
    reasons: collections.Counter[str] = collections.Counter()
    passed_out_of_scope = 0
    counts: dict[str, collections.Counter[str]] = {}
    failures: list[str] = []
    for row in json.loads(outcome_file.read_text())["cases"]:
        outcome = row["outcome"]
        reason = out_of_scope(cases[row["id"]])
        count = counts.setdefault(row["category"], collections.Counter())
        if reason:
            reasons[reason] += 1
            count["other"] += 1
            passed_out_of_scope += outcome == "pass"
            if outcome not in REFUSED:
                failures.append(f"{outcome:9} {row['id']} (not in scope: {reason}): {row.get('detail', '')}")
            continue
        count["cases"] += 1
        count["pass"] += outcome == "pass"
        if outcome != "pass":
            failures.append(f"{outcome:9} {row['id']}: {row.get('detail', '')}")

    with capsys.disabled():
        print(f"\n\n{'category':24} {'passed':>6} {'of':>5} {'not in scope':>13}")
        for category, count in sorted(counts.items()):
            print(f"{category:24} {count['pass']:6} {count['cases']:5} {count['other'] or '':>13}")
        total = sum(counts.values(), collections.Counter())
        print(
            f"{'all':24} {total['pass']:6} {total['cases']:5} {total['other']:13} ({passed_out_of_scope} of them pass)"
        )
        print("not in scope: " + ", ".join(f"{reason} ({n})" for reason, n in reasons.most_common()))
    assert not failures, f"{len(failures)} cases fail\n" + "\n".join(failures)
