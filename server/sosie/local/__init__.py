"""One machine without containers: a real Triton, Milvus Lite and the gateway, started, watched and stopped together.

`runtime` installs Triton into an environment of its own, `backend/` holds what runs the models in it, `triton` starts
the server, `services` the others, `supervisor` keeps them answering, `stack` is all of them, `command` is
`sosie local`.
"""
