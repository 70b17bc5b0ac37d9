"""Kill, pause, cut off and spoil what there is while pull requests come and go; then see that all is as asked for.

`make chaos N=100` runs as long as told. What is broken is real: processes, parts of the node, connections, objects,
files.
"""
