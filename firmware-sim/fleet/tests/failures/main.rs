//! The failure matrix: what goes wrong in the field, and what becomes of it.
//!
//! [`table`] holds a row for each failure: what happens, what the device does, what the gateway prints, what the technician is
//! told, how it ends. Each row is a test of its own, which runs its story on virtual time with the real agent, bootloader and
//! gateway core, and holds the row to what they did and printed. `docs/failures.md` is the same table for people:
//!
//! ```text
//! DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]
#![allow(unreachable_pub, reason = "the modules are private to this test program")]

#[path = "../simulated/mod.rs"]
mod simulated;

mod device;
mod gateway;
mod link;
mod page;
mod publisher;
mod story;
mod table;
