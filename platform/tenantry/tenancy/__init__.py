"""What the platform knows of a tenant as a whole: its settings, its plan, its data all together."""
