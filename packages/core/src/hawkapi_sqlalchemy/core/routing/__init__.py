"""Which server answers: replicas, and clients that see what they have written."""
