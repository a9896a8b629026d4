"""What a run tells machines: `events` as it goes on, `summary` and `metrics` when it ended."""
