"""`python -m watcher` is `reviewapp`."""

from watcher.cli import main

main()
