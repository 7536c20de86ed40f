from tests.conformance.run import conform

conform()
