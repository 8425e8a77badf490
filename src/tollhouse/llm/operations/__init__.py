"""What models do besides chats: embeddings, reranking, pictures, sound, completions and the rest.

Each operation says where a provider has it and how its requests and answers pass; `upstream` takes an
exchange there and back and meters it. Never chats: those are `upstream_model`'s.
"""
