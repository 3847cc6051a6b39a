import json
import re
import resource
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from sapwood.pipeline import doctor as looked
from sapwood.pipeline.doctor import QUIRKS, Finding, disk_finding, doctor
from verbs import sapwood

FINDINGS = Path(__file__).parents[2] / "findings"


def only(findings: list[Finding], what: str) -> Finding:
    return next(finding for finding in findings if finding.what == what)


def test_every_finding_of_the_project_is_known_with_its_version() -> None:
    first = {path.stem: path.read_text(encoding="utf-8").splitlines()[1] for path in FINDINGS.glob("*.sh")}
    assert sorted(first) == [quirk.script for quirk in QUIRKS]
    for quirk in QUIRKS:
        named = re.match(r"# (\S+) (\S+?)[: ]", first[quirk.script])
        assert named is not None
        assert (named[1].lower(), named[2]) == (quirk.package.lower(), quirk.version)


def test_versions_that_misbehave_are_named_and_others_are_not(tmp_path: Path) -> None:
    there = {"torch": "2.13.0+cu130", "transformers": "5.22.0", "math-verify": "0.9.0"}

    def installed(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    found = list(doctor(tmp_path, installed))
    assert only(found, "math-verify 0.9.0").found == "reads 6.02×10^23 as 6.02; Sapwood goes round it"
    assert only(found, "torch").found == "2.13.0+cu130"
    assert [finding.what for finding in found].count("torch 2.13.0") == 2
    assert not [finding for finding in found if finding.what.startswith(("transformers 5", "lm-eval"))]


def test_a_driver_without_a_torch_that_uses_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 580.65.06\necho 580.65.06\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    gpu = only(list(doctor(tmp_path)), "GPU")
    assert gpu.found == "there is a driver (580.65.06), and torch was built for CPUs"
    assert "pytorch.org" in (gpu.remedy or "")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    gpu = only(list(doctor(tmp_path)), "GPU")
    assert gpu.found == "there is a driver (580.65.06), and torch for CUDA 13.0 cannot use it"
    assert "CUDA_VISIBLE_DEVICES" in (gpu.remedy or "")
    tool.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    assert only(list(doctor(tmp_path)), "GPU").found == "none"


def test_an_old_gpu_has_no_attention_kernel() -> None:
    assert looked._kernels_of_gpu(0, (7, 5)).remedy is not None
    assert looked._kernels_of_gpu(0, (9, 0)).remedy is None


def test_few_open_files_and_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 256))
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    found = list(doctor(tmp_path))
    assert only(found, "open files").remedy == "Allow more: `ulimit -n 1024`."
    assert only(found, "largest file").remedy is not None
    assert only(found, "C++ compiler").found == "none"
    assert only(found, "C++ compiler").remedy is not None


def test_a_disk_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    found = only(list(doctor(tmp_path / "runs" / "not" / "there")), "disk")
    assert found.found.startswith(f"{tmp_path} takes ")
    assert not list(tmp_path.iterdir())
    assert disk_finding(tmp_path, "1.0 GiB", 40e6).remedy is not None
    assert disk_finding(tmp_path, "1.0 GiB", 400e6).remedy is None


def test_the_verb_prints_a_table(tmp_path: Path) -> None:
    (table,) = json.loads(sapwood("doctor", "--runs", tmp_path, "--json"))["tables"]
    assert {row["what"] for row in table["rows"]} >= {"python", "torch", "open files", "memory", "disk"}
