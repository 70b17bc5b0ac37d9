"""How it is applied: what a ReviewApp asks for becomes stack inputs, and the engine applies them.

The only importer of `pulumi.automation`. Knows nothing of watches, queues or the kubernetes client.
"""
