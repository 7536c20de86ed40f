"""The second factors of people: codes of an authenticator app, and recovery codes. For everybody, of themselves."""
