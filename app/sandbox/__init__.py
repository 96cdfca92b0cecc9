"""Running a diagnosis of a stranger's file in a process of its own."""
