"""What a run tells: `summary` people, `events` machines as it goes on, `metrics` Prometheus when it ended.

`publishing` brings the last two to where `options` says.
"""
