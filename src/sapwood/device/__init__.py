"""The machine: ranks, precision, memory, chips.

- `Ranks` (`ranks`): the processes that share one model, under torchrun or alone, and their collectives.
- `Chip` (`chips`): memory and peak FLOPs of GPUs, for plans and MFU. `autocast_type` (`precision`): which precision
  is fast here. `peak_memory` (`memory`). `describe_environment` (`environment`): versions and hardware, for the
  report.

The table of chips, peaks in FLOPs a second for dense products:

>>> from sapwood.device.chips import find_chip
>>> chip = find_chip("NVIDIA H100 80GB HBM3")
>>> chip.name, chip.memory, chip.peak("bf16")
('H100 SXM', 80, 989400000000000.0)
"""
