"""Health for load balancers and orchestrators; open to anyone, and says nothing secret."""
