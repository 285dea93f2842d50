"""The answers: a module for each exercise, from which the file to fill in is made."""
