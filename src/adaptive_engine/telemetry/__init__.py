"""What operators see: logs now; metrics and traces belong here too."""
