//! The daemon: everything wired together, started in order, drained in order.
