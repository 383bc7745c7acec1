"""HTTP: authenticate, parse, limit, and speak the wire format. The rules are in services."""
