"""What `make` needs besides the program."""
