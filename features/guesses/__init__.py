"""How often the secrets of people may be guessed, on all ways in together. For the slices that judge one."""
