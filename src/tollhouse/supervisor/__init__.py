"""The processes of a node: who starts whom, who owns what, and how they end.

    supervisor            owns sockets and shared memory; starts, restarts, drains
    ├─ worker x N         data plane
    ├─ control            Admin and status API, configuration, gathered metrics
    └─ models (on demand) the embedded language model

Requests never pass through here.
"""
