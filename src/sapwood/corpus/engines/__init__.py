"""Where blocks run: on this machine, on a Slurm cluster, on a Ray cluster. All of them run the same tasks (`job`)."""
