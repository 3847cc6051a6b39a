from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sapwood.training.quantise import BLOCK, Codes, blocks, dequantise, quantise

CPU = torch.device("cpu")

pytestmark = pytest.mark.slow


def some(rows: int, columns: int, seed: int, *, signed: bool) -> torch.Tensor:
    """Numbers of ten orders of magnitude."""
    chance = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, columns, generator=chance) * 10 ** (-10 * torch.rand(rows, columns, generator=chance))
    return values if signed else values.abs()


@given(st.integers(0, 4), st.integers(1, 600), st.integers(0, 100), st.booleans())
def test_numbers_come_back_nearly(rows: int, columns: int, seed: int, signed: bool) -> None:
    values = some(rows, columns, seed, signed=signed)
    codes, scales = quantise(values, Codes.of(signed, CPU))
    assert codes.shape == values.shape
    assert scales.shape == (rows, blocks(columns))
    back = dequantise(codes, scales, Codes.of(signed, CPU))
    largest = scales.repeat_interleave(BLOCK, 1)[:, :columns]
    # The widest gap between codes is the one below the largest: 0.9 / 64, from the middle of which it is half as far.
    assert ((back - values).abs() <= 0.0071 * largest).all()
    assert (back.abs() <= largest).all()


@given(st.integers(0, 100), st.booleans())
def test_a_code_is_the_nearest(seed: int, signed: bool) -> None:
    values = some(2, 300, seed, signed=signed)
    codes, scales = quantise(values, Codes.of(signed, CPU))
    every = dequantise(torch.arange(256, dtype=torch.uint8)[None], torch.ones(1, 1), Codes.of(signed, CPU))[0].double()
    shares = values.double() / scales.repeat_interleave(BLOCK, 1)[:, :300]
    nearest = (shares[..., None] - every).abs().amin(2)
    ours = (shares - every[codes.long()]).abs()
    smallest = every[every > 0].min()  # stands for all that is nearer to 0, without a sign
    assert ((ours <= nearest + 1e-7) & (ours <= nearest * (1 + 1e-5)) | (shares.abs() < smallest)).all()


@given(st.integers(0, 100))
def test_nothing_but_zero_becomes_zero(seed: int) -> None:
    values = some(3, 300, seed, signed=False)
    values[:, ::7] = 0
    back = dequantise(*quantise(values, Codes.of(False, CPU)), Codes.of(False, CPU))
    assert torch.equal(back == 0, values == 0)


def test_zeros_stay_zeros() -> None:
    for signed in (True, False):
        assert not dequantise(*quantise(torch.zeros(2, 300), Codes.of(signed, CPU)), Codes.of(signed, CPU)).any()


def test_rows_are_independent() -> None:
    values = some(6, 300, 1, signed=True)
    codes, scales = quantise(values, Codes.of(True, CPU))
    for row in range(6):
        alone = quantise(values[row : row + 1], Codes.of(True, CPU))
        assert torch.equal(alone[0][0], codes[row])
        assert torch.equal(alone[1][0], scales[row])


@pytest.mark.parametrize("signed", [True, False])
def test_codes_stand_for_what_they_do_elsewhere(signed: bool) -> None:
    utils = pytest.importorskip("torchao.optim.quant_utils", reason="needs torchao")
    every = torch.arange(256, dtype=torch.uint8)[None]
    expected = torch.tensor(utils.create_dynamic_map(signed=signed))[None]
    torch.testing.assert_close(dequantise(every, torch.ones(1, 1), Codes.of(signed, CPU)), expected, atol=1e-7, rtol=0)
