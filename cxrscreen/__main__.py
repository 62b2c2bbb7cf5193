"""``python -m cxrscreen``."""

from cxrscreen.cli.app import main

if __name__ == "__main__":
    main()
