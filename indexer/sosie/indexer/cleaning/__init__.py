"""Brings what shops write to one form, and says what it changed."""
