"""What a configuration would do, told without serving it: what looks wrong in it, how it differs from Kong,
where a request would go."""
