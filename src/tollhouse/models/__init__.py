"""CPU-heavy models in processes of their own, never on a worker's loop. So far: the embedded language
model that serves provider `local`."""
