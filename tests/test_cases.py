"""The conformance cases: data written or tested by other implementations, and hostile input. Every case must pass.

The data is expected beside the repository, in ../shared/cases. Without it the test is skipped, or fails if CI is set in
the environment.
"""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases"
ADAPTER = Path(__file__).parent / "cases_adapter.py"


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

    counts: dict[str, collections.Counter[str]] = {}
    failures: list[str] = []
    for row in json.loads(outcome_file.read_text())["cases"]:
        count = counts.setdefault(row["category"], collections.Counter())
        count["cases"] += 1
        count["pass"] += row["outcome"] == "pass"
        if row["outcome"] != "pass":
            failures.append(f"{row['outcome']:9} {row['id']}: {row.get('detail', '')}")

    with capsys.disabled():
        print(f"\n\n{'category':24} {'passed':>6} {'of':>5}")
        counts["all"] = sum(counts.values(), collections.Counter())
        for category, count in sorted(counts.items(), key=lambda row: (row[0] == "all", row[0])):
            print(f"{category:24} {count['pass']:6} {count['cases']:5}")
    assert not failures, f"{len(failures)} cases fail\n" + "\n".join(failures)
