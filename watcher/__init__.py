"""When it is applied: what is observed in the cluster decides what the provisioner does next.

The only importer of the kubernetes client.
"""
