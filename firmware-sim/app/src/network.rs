//! UDP over the board's Ethernet: one socket, one peer.

use board::{ETHERNET_FRAME_BYTES_MAX, Ethernet, Once};
use deltagate_agent::DATAGRAM_BYTES_MAX;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address};

/// QEMU's user network and the link emulator both put the device here, and the gateway's host at .2.
const OWN: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// RFC 7252 §6.1.
const COAP_PORT: u16 = 5683;

/// Datagrams that wait in either direction: the agent has one request outstanding, an empty ACK and a retransmission
/// may accompany it.
const QUEUE_DATAGRAMS: usize = 4;
const QUEUE_BYTES: usize = 2 * DATAGRAM_BYTES_MAX;

/// Kept apart from what they describe: all zeros, they take no room in the image.
static RECEIVED_BYTES: Once<[u8; QUEUE_BYTES]> = Once::new([0; QUEUE_BYTES]);
static SENDING_BYTES: Once<[u8; QUEUE_BYTES]> = Once::new([0; QUEUE_BYTES]);
static RECEIVED_FRAME: Once<[u8; ETHERNET_FRAME_BYTES_MAX]> = Once::new([0; ETHERNET_FRAME_BYTES_MAX]);
static SENDING_FRAME: Once<[u8; ETHERNET_FRAME_BYTES_MAX]> = Once::new([0; ETHERNET_FRAME_BYTES_MAX]);
static TABLES: Once<Tables> = Once::new(Tables {
    sockets: [SocketStorage::EMPTY],
    received: [udp::PacketMetadata::EMPTY; QUEUE_DATAGRAMS],
    sending: [udp::PacketMetadata::EMPTY; QUEUE_DATAGRAMS],
});

struct Tables {
    sockets: [SocketStorage<'static>; 1],
    received: [udp::PacketMetadata; QUEUE_DATAGRAMS],
    sending: [udp::PacketMetadata; QUEUE_DATAGRAMS],
}

/// The device's way to its gateway.
pub(crate) struct Network {
    device: Lan,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
}

impl Network {
    /// The network on a started controller. To be made once.
    pub(crate) fn new(ethernet: Ethernet, address: [u8; 6], now_ms: u64) -> Self {
        let tables = TABLES.take().expect("made once");
        let received = RECEIVED_BYTES.take().expect("made once");
        let sending = SENDING_BYTES.take().expect("made once");
        let mut device = Lan {
            ethernet,
            received: RECEIVED_FRAME.take().expect("made once"),
            sending: SENDING_FRAME.take().expect("made once"),
        };
        let config = Config::new(EthernetAddress(address).into());
        let mut interface = Interface::new(config, &mut device, at(now_ms));
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(OWN), 24))
                .expect("the list is empty");
        });
        let receive = udp::PacketBuffer::new(&mut tables.received[..], &mut received[..]);
        let send = udp::PacketBuffer::new(&mut tables.sending[..], &mut sending[..]);
        let mut socket = udp::Socket::new(receive, send);
        socket
            .bind(COAP_PORT)
            .expect("a port, and a socket not yet bound");
        let mut sockets = SocketSet::new(&mut tables.sockets[..]);
        let udp = sockets.add(socket);
        Self {
            device,
            interface,
            sockets,
            udp,
        }
    }

    /// Moves frames both ways.
    pub(crate) fn poll(&mut self, now_ms: u64) {
        self.interface
            .poll(at(now_ms), &mut self.device, &mut self.sockets);
    }

    /// When to poll again though no frame arrived.
    pub(crate) fn poll_timeout(&mut self, now_ms: u64) -> Option<u64> {
        let delay = self.interface.poll_delay(at(now_ms), &self.sockets)?;
        Some(now_ms + delay.total_millis())
    }

    /// Whether a frame has arrived that was not polled yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.device.ethernet.has_frame()
    }

    /// The next datagram from the gateway; what others send is dropped.
    pub(crate) fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        while socket.can_recv() {
            match socket.recv_slice(into) {
                Ok((length, from)) if from.endpoint.addr == IpAddress::Ipv4(GATEWAY) => return Some(length),
                _ => {}
            }
        }
        None
    }

    /// Queues `datagram` for the gateway. With the queue full it is lost, which the agent's retransmission mends.
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        let _ = socket.send_slice(datagram, IpEndpoint::new(IpAddress::Ipv4(GATEWAY), COAP_PORT));
    }
}

fn at(now_ms: u64) -> Instant {
    Instant::from_millis(now_ms as i64)
}

/// The controller as smoltcp wants it, with a frame's room in each direction.
struct Lan {
    ethernet: Ethernet,
    received: &'static mut [u8; ETHERNET_FRAME_BYTES_MAX],
    sending: &'static mut [u8; ETHERNET_FRAME_BYTES_MAX],
}

impl Device for Lan {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let length = self.ethernet.receive(self.received)?;
        let sending = Sending {
            ethernet: &mut self.ethernet,
            frame: self.sending,
        };
        Some((
            Received {
                frame: &self.received[..length],
            },
            sending,
        ))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending {
            ethernet: &mut self.ethernet,
            frame: self.sending,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = ETHERNET_FRAME_BYTES_MAX;
        capabilities.max_burst_size = Some(1);
        capabilities
    }
}

struct Received<'a> {
    frame: &'a [u8],
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, handle: F) -> R {
        handle(self.frame)
    }
}

struct Sending<'a> {
    ethernet: &'a mut Ethernet,
    frame: &'a mut [u8; ETHERNET_FRAME_BYTES_MAX],
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let frame = &mut self.frame[..length];
        let result = fill(frame);
        // A frame the controller has no room for is lost, as on any Ethernet.
        let _ = self.ethernet.transmit(frame);
        result
    }
}
