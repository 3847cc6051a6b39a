"""`python -m sapwood`, and `torchrun -m sapwood`."""

from sapwood.cli.main import main

if __name__ == "__main__":
    main()
