"""Asking the encoders: as much as they take, from one server or several, behind questions, and nothing twice."""
