//! The real `deltagate` binary as a process: started, asked, killed, started again.
//!
//! Everything goes through the command line and the JSON that technicians get, so that what is
//! tested is what they use.

mod command;
mod host;
mod inventory;
mod process;

pub use command::{CommandFailed, Deltagate, Identity, Publisher};
pub use host::{FakedClock, SmallDisk};
pub use inventory::{DeviceSummary, Running, UpdateSummary, device};
pub use process::{Access, Gateway, GatewayConfig};
