//! Loom models of the lanes.
