"""What the verbs of the command line share above all packages: today, what is checked before anything costs money."""
