//! Decides which signed image boots; the only code that starts one.
