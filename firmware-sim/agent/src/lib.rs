//! The device side of deltagate: check in, fetch, apply, confirm or fall back. Sans-IO, no heap.
