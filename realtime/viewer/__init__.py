"""The viewer: clinical EEG review in the browser, a client of the records API and nothing else."""
