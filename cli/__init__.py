"""The command line: one file per noun. Reads the store and writes settings; never talks to ARI."""
