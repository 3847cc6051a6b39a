from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sapwood.statistics import student

FREEDOM = np.array([[0.5], [1], [2.5], [7], [40], [1e6], [np.inf]])
SHARES = np.array([1e-130, 1e-9, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999])
VALUES = np.array([-40, -1.96, 0, 0.2, 2, 9, 300, np.inf])


def test_it_is_the_distribution_of_scipy_to_the_bit() -> None:
    from scipy.stats import t

    assert np.array_equal(student.ppf(SHARES, FREEDOM), t.ppf(SHARES, FREEDOM))
    assert np.array_equal(student.isf(SHARES, FREEDOM), t.isf(SHARES, FREEDOM))
    assert np.array_equal(student.sf(VALUES, FREEDOM), t.sf(VALUES, FREEDOM))


@pytest.mark.slow
def test_the_command_line_loads_without_scipy() -> None:
    """Nor torch, transformers, sklearn and pandas: they take seconds, and most verbs do without."""
    program = (
        "import sys, sapwood.cli.main\n"
        "print(*({'scipy', 'torch', 'transformers', 'sklearn', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
