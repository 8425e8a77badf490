"""`python -m tollhouse`."""

from tollhouse.cli import main

main()
