//! The deltagate patch format and its streaming decoder.
