"""Where everything is wired: the command line, Prefect deployments, containers."""
