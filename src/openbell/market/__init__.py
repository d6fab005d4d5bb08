"""The words: instruments, timeframes, bars, sessions, errors. No I/O."""
