"""How good recorded data is: completeness, gaps with reasons, checks, and the report of it all."""
