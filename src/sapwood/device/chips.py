"""What GPUs can do: memory, and the most floating point operations in a second.

Peaks are those of dense matrix products with sums in fp32, in bf16 and in fp8, each under the sheet that has it. Ten
entries were computed again from units, clocks and operations a cycle; the sheets themselves were not at hand. Those of
NVIDIA since Ampere put the figures "with sparsity" first, which are twice as high; no training reaches for these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chip:
    """A kind of GPU."""

    name: str
    """What the plan calls it."""
    pattern: str
    """The whole of what its driver calls it, or a user, without the maker; case does not matter."""
    memory: int
    """GiB, as sold. A little of it is not to be had."""
    bf16: float | None
    """10^12 operations a second; None where the hardware has no such arithmetic."""
    fp8: float | None

    def peak(self, precision: str) -> float | None:
        """The most operations a second with a `precision` of the recipe; None where it has no peak.

        fp32 has none: what its products reach depends on whether TF32 is on.
        """
        peak = {"fp32": None, "fp8": self.fp8}.get(precision, self.bf16)
        return None if peak is None else peak * 1e12


CHIPS = (
    # NVIDIA Blackwell architecture technical brief (2024), tables of HGX B200 and GB200.
    Chip("GB200", r"GB200", 186, 2500, 5000),
    # NVIDIA's tables of HGX B300 (2.1 TB of eight) and GB300 NVL72 (20 TB of 72): of 288 GB a part is spared.
    Chip("GB300", r"GB300", 279, 2500, 5000),
    Chip("B300", r"B300( SXM6( AC)?)?", 268, 2250, 4500),
    Chip("B200", r"B200", 180, 2250, 4500),
    # NVIDIA H200 data sheet: SXM, NVL.
    Chip("H200 NVL", r"H200 NVL", 141, 835.5, 1671),
    Chip("H200", r"H200( SXM)?", 141, 989.4, 1978.9),
    # NVIDIA GH200 data sheet: the chip of H100 SXM, with more memory.
    Chip("GH200 144GB", r"GH200 144GB?( HBM3e)?", 144, 989.4, 1978.9),
    Chip("GH200 96GB", r"GH200( 480GB| 120GB| 96GB( HBM3)?)?", 96, 989.4, 1978.9),
    # NVIDIA H100 data sheet, and the Hopper white paper, table 2: 132 or 114 SMs, 4096 operations each in a cycle.
    Chip("H100 PCIe", r"H100 PCIe", 80, 756.4, 1513),
    Chip("H100 NVL", r"H100 NVL", 94, 835.5, 1671),
    Chip("H100 SXM", r"H100( SXM5?| 80GB HBM3)?", 80, 989.4, 1978.9),
    # The same chip with slower links, for China; H20 has fewer units.
    Chip("H800", r"H800", 80, 989.4, 1978.9),
    Chip("H20", r"H20", 96, 148, 296),
    # NVIDIA A100 data sheet: 312 in every shape.
    Chip("A100 40GB", r"A100( |-SXM4-|-PCIE-)40GB", 40, 312, None),
    Chip("A100 80GB", r"A100(( |-SXM4-)80GB| 80GB PCIe)?", 80, 312, None),
    Chip("A800", r"A800(( |-SXM4-)80GB| 80GB PCIe)?", 80, 312, None),
    # NVIDIA's data sheets of A30, A40, A10.
    Chip("A30", r"A30", 24, 165, None),
    Chip("A40", r"A40", 48, 149.7, None),
    Chip("A10", r"A10", 24, 125, None),
    # Amazon's version of A10, with the fp32 sums of the cards for players.
    Chip("A10G", r"A10G", 24, 70, None),
    # NVIDIA's data sheets of L40S, L40, L4.
    Chip("L40S", r"L40S", 48, 362, 733),
    Chip("L40", r"L40", 48, 181, 362),
    Chip("L4", r"L4", 24, 121, 242.5),
    # For China.
    Chip("L20", r"L20", 48, 119.5, 239),
    # NVIDIA's white papers on the architectures Blackwell for RTX, Ada, Ada for professionals, and Ampere GA102,
    # appendices. The cards for players add up in fp32 at half their highest speed.
    Chip("RTX PRO 6000 Max-Q", r"RTX PRO 6000 (Blackwell )?Max-Q( Workstation Edition)?", 96, 438.9, 877.9),
    Chip("RTX PRO 6000 Server", r"RTX PRO 6000 (Blackwell )?Server( Edition)?", 96, 480, 960),
    Chip("RTX PRO 6000", r"RTX PRO 6000( Blackwell( Workstation Edition)?)?", 96, 503.8, 1007.6),
    Chip("RTX 5090", r"(GeForce )?RTX 5090", 32, 209.5, 419),
    Chip("RTX 6000 Ada", r"RTX 6000 Ada( Generation)?", 48, 364.2, 728.5),
    Chip("RTX A6000", r"RTX A6000", 48, 154.8, None),
    Chip("RTX 4090", r"(GeForce )?RTX 4090", 24, 165.2, 330.3),
    Chip("RTX 3090", r"(GeForce )?RTX 3090", 24, 71, None),
    # No bf16 before Ampere.
    Chip("V100 32GB", r"V100(-(SXM2|SXM3|PCIE)-| )32GB(-LS)?", 32, None, None),
    Chip("V100 16GB", r"V100(-(SXM2|PCIE)-| )16GB", 16, None, None),
    Chip("T4", r"T4", 16, None, None),
    # AMD's data sheets of MI300X, MI325X, MI350X and MI355X: 256 units, 4096 operations each in a cycle.
    Chip("MI355X", r"MI355X", 288, 2516.6, 5033.2),
    Chip("MI350X", r"MI350X", 288, 2306.9, 4613.7),
    Chip("MI300X", r"MI300X", 192, 1307.4, 2614.9),
    Chip("MI325X", r"MI325X", 256, 1307.4, 2614.9),
)


def find_chip(name: str) -> Chip | None:
    """The GPU that `torch.cuda.get_device_name` or a user calls so; None for all that are not in the table.

    Only whole names count: a part of a GPU (MIG) or its version for laptops does less than what it is called after.
    """
    bare = re.sub(r"^((NVIDIA|AMD|Instinct|Tesla)\s+)*", "", name.strip(), flags=re.IGNORECASE)
    return next((chip for chip in CHIPS if re.fullmatch(chip.pattern, bare, re.IGNORECASE)), None)
