"""Where data comes from: readers of files, and later exchanges and feeds. Chosen by the wiring."""
