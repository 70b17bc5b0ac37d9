"""What is declared: Pulumi programs and the inputs they are functions of.

Reads no cluster, starts no engine: nothing here imports `pulumi.automation` or the kubernetes client.
"""
