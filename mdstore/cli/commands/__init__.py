"""The commands, one file each: its flags, its help, and the call of what it does and prints."""
