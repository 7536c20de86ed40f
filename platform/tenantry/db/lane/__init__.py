"""The fast lane: closed groups of bounded statements, one round trip each, over connections that requests share."""
