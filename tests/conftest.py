"""Fixtures that several rooms' tests share."""

pytest_plugins = ["local_fixtures", "milvus_fixtures", "stack_fixtures"]
