"""Stand-ins for what a cluster has and can't be had here: operators of databases, and a provisioner of volumes.

Each takes the real objects, as far as this project sets their fields, and does of the real one's work what this
project depends on. None is part of the product. `python -m dev.stand_ins` runs them all.
"""
