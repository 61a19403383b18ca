"""Access to the operating system: commands, files, locks, processes, kernel settings, nft."""
