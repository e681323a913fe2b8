"""``python -m deployments.cli`` is ``ranvier``."""

from deployments.cli import main

main()
