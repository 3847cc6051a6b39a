from __future__ import annotations

import pytest

from sapwood.device.chips import CHIPS, find_chip

NAMES = {
    "NVIDIA H100 80GB HBM3": ("H100 SXM", 80),
    "NVIDIA H100 PCIe": ("H100 PCIe", 80),
    "NVIDIA H100 NVL": ("H100 NVL", 94),
    "NVIDIA H200": ("H200", 141),
    "NVIDIA B200": ("B200", 180),
    "NVIDIA B300 SXM6 AC": ("B300", 268),
    "NVIDIA GB300": ("GB300", 279),
    "NVIDIA GH200 480GB": ("GH200 96GB", 96),
    "NVIDIA GH200 144G HBM3e": ("GH200 144GB", 144),
    "NVIDIA A10G": ("A10G", 24),
    "NVIDIA L20": ("L20", 48),
    "NVIDIA GeForce RTX 5090": ("RTX 5090", 32),
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": ("RTX PRO 6000", 96),
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": ("RTX PRO 6000 Max-Q", 96),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": ("RTX PRO 6000 Server", 96),
    "AMD Instinct MI355X": ("MI355X", 288),
    "NVIDIA A100-SXM4-80GB": ("A100 80GB", 80),
    "NVIDIA A100 80GB PCIe": ("A100 80GB", 80),
    "A100-SXM4-40GB": ("A100 40GB", 40),
    "NVIDIA A100-PCIE-40GB": ("A100 40GB", 40),
    "NVIDIA L40S": ("L40S", 48),
    "NVIDIA L4": ("L4", 24),
    "NVIDIA A10": ("A10", 24),
    "NVIDIA GeForce RTX 4090": ("RTX 4090", 24),
    "Tesla V100-SXM2-16GB": ("V100 16GB", 16),
    "Tesla T4": ("T4", 16),
    "AMD Instinct MI300X": ("MI300X", 192),
}
"""What drivers call them."""

DENSE = [
    # SMs, bf16 operations of an SM in a cycle (without sparsity, sums in fp32), boost clock in MHz
    ("A100 80GB", 108, 2048, 1410),
    ("H100 SXM", 132, 4096, 1830),
    ("H100 PCIe", 114, 4096, 1620),
    ("L40S", 142, 1024, 2490),
    ("L4", 58, 1024, 2040),
    ("A10", 72, 1024, 1695),
    ("RTX 6000 Ada", 142, 1024, 2505),
    ("RTX 4090", 128, 512, 2520),
    ("RTX 3090", 82, 512, 1695),
    ("MI300X", 304, 2048, 2100),
    ("MI355X", 256, 4096, 2400),
    ("MI350X", 256, 4096, 2200),
    ("GH200", 132, 4096, 1830),
    ("RTX 5090", 170, 512, 2407),
    ("RTX PRO 6000", 188, 1024, 2617),
    ("RTX PRO 6000 Max-Q", 188, 1024, 2280),
    ("L20", 92, 512, 2520),
]
"""From the makers' descriptions of the architectures: the same peaks by another way."""


@pytest.mark.parametrize("name", NAMES)
def test_chips_are_known_by_what_their_drivers_call_them(name: str) -> None:
    chip = find_chip(name)
    assert chip is not None
    assert (chip.name, chip.memory) == NAMES[name]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_a_chip_is_found_by_its_own_name(chip: object) -> None:
    assert find_chip(chip.name) is chip


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce GTX 1080",
        "cpu",
        "",
    ],
)
def test_what_is_only_called_after_a_chip_is_not_taken_for_it(name: str) -> None:
    assert find_chip(name) is None


@pytest.mark.parametrize(("name", "units", "operations", "megahertz"), DENSE)
def test_peaks_are_dense(name: str, units: int, operations: int, megahertz: int) -> None:
    chip = find_chip(name)
    assert chip is not None
    assert chip.peak("bf16") == pytest.approx(units * operations * megahertz * 1e6, rel=0.02)


@pytest.mark.parametrize("chip", [chip for chip in CHIPS if chip.fp8], ids=lambda chip: chip.name)
def test_fp8_is_twice_as_fast(chip: object) -> None:
    assert chip.peak("fp8") == pytest.approx(2 * chip.peak("bf16"), rel=0.02)


def test_there_is_no_peak_where_the_hardware_has_no_such_arithmetic() -> None:
    volta, ampere = find_chip("V100 16GB"), find_chip("A100")
    assert volta is not None
    assert ampere is not None
    assert volta.peak("auto") is None
    assert ampere.peak("fp8") is None
    assert ampere.peak("fp32") is None
    assert ampere.peak("auto") == 312e12
