"""The gRPC service in front of the engine: it checks, admits, asks and answers."""
