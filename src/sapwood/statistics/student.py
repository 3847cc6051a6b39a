"""Student's t distribution: quantiles and tails, as `scipy.stats.t` gives them, to the bit.

`scipy.stats` takes as long to load as the rest of the command line together (0.85 s of 1.8), and `scipy.special` a
tenth of it: neither is loaded before something is asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ppf(share: ArrayLike, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """The quantile below which lies the `share`, strictly between 0 and 1."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(degrees_of_freedom, share))


def isf(share: ArrayLike, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """The quantile above which lies the `share`, strictly between 0 and 1."""
    from scipy.special import stdtrit

    return -np.asarray(stdtrit(degrees_of_freedom, share))


def sf(value: ArrayLike, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """The share that lies above `value`."""
    from scipy.special import stdtr

    return np.asarray(stdtr(degrees_of_freedom, np.negative(value)))
