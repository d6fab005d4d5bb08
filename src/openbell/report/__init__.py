"""What a run came to: terminal tables, pictures, one page, files for other programs."""
