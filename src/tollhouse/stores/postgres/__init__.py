"""Entities in PostgreSQL 13 or newer, shared by every node of a cluster.

A table for each kind of entity holds whole rows as JSON, beside them what the database itself has to
judge: unique values as digests (so that any text of any length will do), foreign keys, tags. Tables follow
from `model.entities.ENTITIES`; a new kind, unique field or foreign key needs no SQL of its own. Triggers
count every change and tell the nodes in the transaction that makes it. Needs the extra `postgres`.
"""
