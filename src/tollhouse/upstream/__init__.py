"""Sockets towards targets: names, connections, pools. It knows nothing of routes and plugins."""
