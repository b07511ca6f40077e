"""`python -m edgesnn` is `edgesnn`."""

from edgesnn.cli.main import main

if __name__ == "__main__":
    main()
