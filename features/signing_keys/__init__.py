"""The keys by which others can check what this service has signed, and the change of them. Open to all."""
