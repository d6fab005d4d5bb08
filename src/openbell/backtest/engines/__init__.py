"""Other engines that a strategy of ours runs in; each needs its own optional part."""
