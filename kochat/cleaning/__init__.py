"""Clean raw data (v1) into v2, and show what the cleaning did."""
