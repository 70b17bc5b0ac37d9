"""What runs inside the build Pod. Stands alone: it is all of ours that the `unpack` image holds."""
