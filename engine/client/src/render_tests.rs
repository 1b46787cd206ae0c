//! Records rendered to events.
