//! The bridge's thread: two sockets, one link, one agenda.

use super::{Cut, Frame, Rebinding, Seen, Station, ethernet};
use crate::agenda::Agenda;
use crate::link::{Direction, IP_UDP_HEADER_BYTES, LinkModel, Verdict};
use crate::tap::Tap;
use crate::watched::Watched;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep_until};

/// Largest frame or datagram that is read: above any Ethernet frame QEMU's LAN9118 sends.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Time without traffic after which the thread wakes for nothing.
const IDLE: Duration = Duration::from_secs(3_600);

/// The two sockets.
#[derive(Debug)]
pub(super) struct Wires {
    device: UnixDatagram,
    device_path: PathBuf,
    gateway: UdpSocket,
    source: Ipv4Addr,
}

impl Wires {
    /// Binds both. Must run inside the runtime that will use them.
    pub(super) fn open(own: &Path, device: &Path, source: Ipv4Addr) -> io::Result<Self> {
        match std::fs::remove_file(own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            device: UnixDatagram::bind(own)?,
            device_path: device.to_owned(),
            gateway: bind(source)?,
            source,
        })
    }
}

/// A socket at a port that nobody has.
fn bind(source: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((source, 0))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// A packet on its way.
#[derive(Debug)]
enum Arrival {
    AtGateway(Vec<u8>),
    AtDevice(Vec<u8>),
}

/// Carries packets between the wires, through the link.
pub(super) struct Carrier {
    wires: Wires,
    link: LinkModel,
    tap: Tap,
    seen: Watched<Seen>,
    gateway: Watched<SocketAddr>,
    cut: Watched<Option<Cut>>,
    rebinding: Watched<Rebinding>,
    agenda: Agenda<Arrival>,
    station: Option<(Station, u16)>,
}

impl Carrier {
    pub(super) fn new(
        wires: Wires,
        link: LinkModel,
        tap: Tap,
        seen: Watched<Seen>,
        gateway: Watched<SocketAddr>,
        cut: Watched<Option<Cut>>,
        rebinding: Watched<Rebinding>,
    ) -> Self {
        Self {
            wires,
            link,
            tap,
            seen,
            gateway,
            cut,
            rebinding,
            agenda: Agenda::new(),
            station: None,
        }
    }

    /// Runs until the other end of `stopped` is dropped.
    /// Times are counted from `start`.
    pub(super) async fn run(&mut self, start: Instant, mut stopped: oneshot::Receiver<()>) {
        let mut frame = [0; DATAGRAM_BYTES_MAX];
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        loop {
            let next = match self.agenda.next_at_us() {
                Some(at_us) => start + Duration::from_micros(at_us),
                None => Instant::now() + IDLE,
            };
            tokio::select! {
                _ = &mut stopped => return,
                received = self.wires.device.recv_from(&mut frame) => {
                    if let Ok((length, _)) = received {
                        self.hear_device(elapsed_us(start), &frame[..length]).await;
                    }
                }
                received = self.wires.gateway.recv_from(&mut datagram) => {
                    if let Ok((length, peer)) = received {
                        self.hear_gateway(elapsed_us(start), peer, &datagram[..length]);
                    }
                }
                () = sleep_until(next) => self.deliver(elapsed_us(start)).await,
            }
        }
    }

    async fn hear_device(&mut self, now_us: u64, frame: &[u8]) {
        match ethernet::parse(frame) {
            Frame::Arp(reply) => self.send_to_device(&reply).await,
            Frame::Udp {
                from,
                to_port,
                payload,
            } => {
                self.station = Some((from, to_port));
                let cut = self.is_cut();
                self.seen.update(|seen| {
                    self.tap.uplink(now_us, &payload, &mut seen.observed);
                });
                self.rebind_if_due();
                if cut {
                    return;
                }
                self.cross(now_us, Direction::Up, &payload, Arrival::AtGateway);
            }
            Frame::Other => {}
        }
    }

    fn hear_gateway(&mut self, now_us: u64, peer: SocketAddr, payload: &[u8]) {
        if peer != self.gateway.get() {
            return;
        }
        // What was on its way when the link was cut was answered, and its answer is lost unheard.
        if self.is_cut() {
            return;
        }
        self.seen.update(|seen| {
            self.tap.downlink(payload, &mut seen.observed);
        });
        self.cross(now_us, Direction::Down, payload, Arrival::AtDevice);
    }

    /// Takes another source port where that is due. Without one to be had, the device keeps the old one, and a test sees that.
    fn rebind_if_due(&mut self) {
        let observed = self.seen.get().observed;
        let is_due = self.rebinding.update(|rebinding| {
            let next = rebinding.facts.pop_front_if(|fact| fact(&observed));
            next.is_some()
        });
        if is_due && let Ok(socket) = bind(self.wires.source) {
            self.wires.gateway = socket;
            self.rebinding.update(|rebinding| rebinding.done += 1);
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.look(|cut| {
            cut.as_ref()
                .is_some_and(|fact| self.seen.look(|seen| fact(&seen.observed)))
        })
    }

    fn cross(&mut self, now_us: u64, direction: Direction, payload: &[u8], arrival: fn(Vec<u8>) -> Arrival) {
        let verdict = self
            .link
            .offer(now_us, direction, IP_UDP_HEADER_BYTES + payload.len());
        if let Verdict::Deliver { at_us, again_at_us } = verdict {
            self.agenda.push(at_us, arrival(payload.to_vec()));
            if let Some(at_us) = again_at_us {
                self.agenda.push(at_us, arrival(payload.to_vec()));
            }
        }
        let traffic = self.link.traffic();
        self.seen.update(|seen| seen.traffic = traffic);
    }

    async fn deliver(&mut self, now_us: u64) {
        while let Some(arrival) = self.agenda.pop_due(now_us) {
            match arrival {
                Arrival::AtGateway(payload) => {
                    // A gateway that is down is a lost packet.
                    let _ = self.wires.gateway.send_to(&payload, self.gateway.get()).await;
                }
                Arrival::AtDevice(payload) => {
                    if let Some((station, port)) = self.station {
                        self.send_to_device(&ethernet::udp_to(&station, port, &payload))
                            .await;
                    }
                }
            }
        }
    }

    async fn send_to_device(&self, frame: &[u8]) {
        // A device that is off is a lost packet.
        let _ = self.wires.device.send_to(frame, &self.wires.device_path).await;
    }
}

fn elapsed_us(start: Instant) -> u64 {
    start.elapsed().as_micros() as u64
}
