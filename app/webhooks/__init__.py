"""Telling listeners that a diagnosis has ended: what is said, how it is signed, where it may go, and when again."""
