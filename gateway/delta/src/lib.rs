//! The delta encoder: alignment, parse and entropy coding of wire-patch streams.
