"""The SDK's own subcommands; those of the other rooms live with them."""
