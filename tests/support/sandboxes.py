"""A mark for tests that run programs in the sandbox: `@needs_sandbox`."""

from __future__ import annotations

import pytest

from sapwood.errors import SapwoodError
from sapwood.sandbox.execute import Sandbox


def _reason() -> str:
    try:
        Sandbox.find()
    except SapwoodError as error:
        return str(error)
    return ""


needs_sandbox = pytest.mark.skipif(bool(reason := _reason()), reason=reason)
"""Skips a test where there is no sandbox, and says why."""
