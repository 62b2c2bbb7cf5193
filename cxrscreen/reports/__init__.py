"""What a run leaves behind: the report file, the console summary."""
