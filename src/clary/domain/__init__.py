"""What things are called and which states they may be in. Pure: no I/O, no clock."""
