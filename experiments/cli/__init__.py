"""The command line: flags, paths, streams, signals and exit codes."""
