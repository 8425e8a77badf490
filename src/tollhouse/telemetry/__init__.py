"""What a node tells about itself: metrics, log records and their sinks. Nothing here makes a caller wait."""
