"""The command `python -m maskdet.data.sample OUT.zip`."""

from maskdet.data.sample.scenes import main

if __name__ == "__main__":
    main()
