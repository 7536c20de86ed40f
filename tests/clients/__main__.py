from tests.clients.run import clients

clients()
