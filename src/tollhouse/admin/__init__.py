"""Kong's Admin API and status API. They speak HTTP through the same connections as the proxy, and ask
the control plane for everything; they hold nothing themselves."""
