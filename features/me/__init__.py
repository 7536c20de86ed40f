"""Who one is: to be seen, changed, taken along and deleted. Open to everybody who is signed in."""
