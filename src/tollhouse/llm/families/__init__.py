"""Quirks of model families, wherever they are hosted; each module cites the vendor's page."""
