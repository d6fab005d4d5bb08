"""Where data and runs are kept: adapters of `ports.Store` and `ports.RunStore`."""
