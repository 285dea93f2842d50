"""The exercises: what each asks, its cases, the usual mistakes, hints and an explanation."""
