"""Prefect flows, one per file: parameters, the steps of a job as Prefect tasks, artifacts.

The order of a job's steps stands in ``tasks``; a flow brings the caller that makes task runs of
them. Only ``flows`` and ``deployments`` know Prefect.
"""
