"""Our own Lava processes, alone: Lava runs every file beside one that defines a process."""
