"""`python -m redrive.cli`, which is how `redrive dev` starts its own processes."""

from redrive.cli import main

if __name__ == "__main__":
    main()
