"""What operators see: logs now; metrics and traces hook in here."""
