"""API keys: credentials for programs, of a person or of a service account. Each may do no more than its holder."""
