"""The platform: what every slice stands on. It never imports `features`."""
