"""Apps: frozen descriptions of a task, its model and its defaults."""
