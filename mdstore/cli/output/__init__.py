"""What each command does with the store and prints, in a file of the command's name."""
