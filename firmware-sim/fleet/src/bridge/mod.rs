//! Connects one emulated device to a real gateway through an emulated link, in real time.
//!
//! ```text
//!  QEMU ◀── Ethernet frames ──▶ bridge ◀── UDP from 127.1.x.y ──▶ gateway 127.0.0.1:PORT
//!        -netdev dgram, unix      │
//!                             LinkModel, Tap
//! ```
//!
//! Each device has a bridge of its own, with its own source address, so that a gateway on one
//! machine sees a fleet of peers. ARP stays on the cable; only IP packets cross the link. What the
//! bridge sees it counts in [`Observed`], and a test waits for a fact there instead of for time.

mod ethernet;
mod wires;

pub use ethernet::{Frame, GATEWAY_IP, GATEWAY_MAC, Station, parse, udp_to};

use crate::link::{LinkModel, LinkProfile, Traffic};
use crate::tap::{Observed, Tap};
use crate::watched::Watched;
use deltagate_flash::Credentials;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a bridge connects, and through which link.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// Folder for the two unix sockets. Its path must be short: a socket's path has 108 bytes.
    pub directory: PathBuf,
    /// Which device this is: names the sockets and the source address.
    pub device: DeviceNumber,
    /// The link between them.
    pub profile: LinkProfile,
    /// The link's seed.
    pub seed: u64,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// By which it reads what is protected; `None`: it hears that something was said, and under which number.
    pub credentials: Option<Credentials>,
}

/// A device's number in a fleet, from which its addresses follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber(pub u16);

impl DeviceNumber {
    /// Where the gateway sees the device: 127.1.x.y, with the number in x and y.
    pub fn source(self) -> Ipv4Addr {
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    }

    /// The device's hardware address, which is also its device id.
    pub fn mac(self) -> [u8; 6] {
        let [high, low] = self.0.to_be_bytes();
        [0x52, 0x54, 0x00, 0x12, high, low]
    }

    /// The hardware address as QEMU writes it.
    pub fn mac_text(self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).join(":")
    }

    /// The device id as the gateway writes it.
    pub fn id_text(self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).concat()
    }
}

/// What a bridge's thread shares with its owner.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the link carried.
    pub traffic: Traffic,
    /// What was said over it.
    pub observed: Observed,
}

/// Says when the link goes dead; see [`Bridge::cut_when`].
pub type Cut = Box<dyn Fn(&Observed) -> bool + Send>;

/// When the device is to be given other source ports, soonest first, and how often it was; see [`Bridge::rebind_when`].
#[derive(Default)]
struct Rebinding {
    facts: VecDeque<Cut>,
    done: u32,
}

/// A running bridge. Dropping it ends its thread and removes its sockets.
pub struct Bridge {
    qemu_path: PathBuf,
    bridge_path: PathBuf,
    seen: Watched<Seen>,
    gateway: Watched<SocketAddr>,
    cut: Watched<Option<Cut>>,
    rebinding: Watched<Rebinding>,
    start: Instant,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge")
            .field("bridge_path", &self.bridge_path)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    /// Opens the sockets and starts to carry packets.
    pub fn start(config: &BridgeConfig) -> io::Result<Self> {
        let number = config.device.0;
        let qemu_path = config.directory.join(format!("q{number}"));
        let bridge_path = config.directory.join(format!("b{number}"));
        let seen = Watched::new(Seen::default());
        let gateway = Watched::new(config.gateway);
        let cut = Watched::new(None);
        let rebinding = Watched::new(Rebinding::default());
        let tap = match &config.credentials {
            None => Tap::witness(),
            Some(credentials) => Tap::keyed(credentials)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "credentials of nobody"))?,
        };
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let wires = {
            let _inside = runtime.enter();
            wires::Wires::open(&bridge_path, &qemu_path, config.device.source())?
        };
        let mut carrier = wires::Carrier::new(
            wires,
            LinkModel::new(config.profile, config.seed),
            tap,
            seen.clone(),
            gateway.clone(),
            cut.clone(),
            rebinding.clone(),
        );
        let start = Instant::now();
        let thread = std::thread::Builder::new()
            .name(format!("bridge-{number}"))
            .spawn(move || runtime.block_on(carrier.run(start.into(), stopped)))?;
        Ok(Self {
            qemu_path,
            bridge_path,
            seen,
            gateway,
            cut,
            rebinding,
            start,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The socket that QEMU binds.
    pub fn qemu_path(&self) -> &Path {
        &self.qemu_path
    }

    /// The socket that QEMU sends to.
    pub fn bridge_path(&self) -> &Path {
        &self.bridge_path
    }

    /// What the bridge saw so far.
    pub fn seen(&self) -> Seen {
        self.seen.get()
    }

    /// Waits until what the bridge saw satisfies `fact`, or `None` after `patience`.
    pub fn wait_until(&self, patience: Duration, fact: impl FnMut(&Seen) -> bool) -> Option<Seen> {
        self.seen.wait_until(patience, fact)
    }

    /// The bridge's clock, which the times in [`Seen`] are of.
    pub fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Loses every packet that comes while `fact` holds, both ways, so that a test catches an update in the middle
    /// however slow its own thread is. What was on its way is delivered.
    pub fn cut_when(&self, fact: impl Fn(&Observed) -> bool + Send + 'static) {
        self.cut.update(|cut| *cut = Some(Box::new(fact)));
    }

    /// Loses nothing on purpose any more.
    pub fn mend(&self) {
        self.cut.update(|cut| *cut = None);
    }

    /// Gives the device another source port as soon as `fact` holds, as a NAT does that forgot it; what is sent to the old one is
    /// lost. Facts are awaited one after the other.
    pub fn rebind_when(&self, fact: impl Fn(&Observed) -> bool + Send + 'static) {
        self.rebinding
            .update(|rebinding| rebinding.facts.push_back(Box::new(fact)));
    }

    /// How often that happened.
    pub fn rebound(&self) -> u32 {
        self.rebinding.look(|rebinding| rebinding.done)
    }

    /// Sends the device's packets elsewhere from now on.
    pub fn set_gateway(&self, gateway: SocketAddr) {
        self.gateway.update(|current| *current = gateway);
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was printed there; dropping must not add another.
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.bridge_path);
    }
}
