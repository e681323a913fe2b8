"""The steps of batch jobs, and for each job the order of its steps."""
