"""The programs that the project runs on and that a bare machine does not have, each pinned."""
