//! The CoAP socket.
//!
//! IPv4 peers of a dual-stack socket are shown as IPv4 (`127.1.0.5`, not `::ffff:127.1.0.5`), because that is how
//! operators write prefixes. A reply from a wildcard address leaves with the source address that the routing table
//! prefers: on a host with several addresses in one network, name one in `listen` (RFC 7252 §5.3.2 wants the
//! reply from the address that was asked).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// A bound socket with a deep receive buffer.
#[derive(Debug)]
pub struct CoapSocket {
    socket: UdpSocket,
    dual_stack: bool,
    receive_buffer_bytes: usize,
}

/// Wanted receive buffer. A small datagram takes 768 bytes of it, so this holds a burst of 10,000 requests; the usual
/// default of 208 KiB holds 277, and each one lost costs its device a whole ACK_TIMEOUT.
pub const RECEIVE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Largest datagram taken: no request of ours comes near (RFC 7252 §4.6 assumes 1,152); a longer one is cut here and
/// then fails to parse.
pub const DATAGRAM_BYTES_MAX: usize = 2_048;

impl CoapSocket {
    /// Binds `listen`; an IPv6 wildcard also takes IPv4.
    pub fn bind(listen: SocketAddr) -> io::Result<CoapSocket> {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        let dual_stack = listen.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        if listen.is_ipv6() {
            socket.set_only_v6(!dual_stack)?;
        }
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        // Linux reports twice what was granted, its own bookkeeping included (socket(7)).
        let receive_buffer_bytes = socket.recv_buffer_size()? / 2;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        Ok(CoapSocket {
            socket: UdpSocket::from_std(socket.into())?,
            dual_stack,
            receive_buffer_bytes,
        })
    }

    /// Where it listens, with the port the system chose.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What the system granted, which may be less than [`RECEIVE_BUFFER_BYTES`].
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// The next datagram.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, peer) = self.socket.recv_from(buffer).await?;
        Ok((length, canonical(peer)))
    }

    /// A datagram that is already there.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, peer) = self.socket.try_recv_from(buffer)?;
        Ok((length, canonical(peer)))
    }

    /// Sends one datagram. An error concerns this datagram only: port 0, no route, too long.
    pub async fn send(&self, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, self.as_sent(peer)).await.map(|_| ())
    }

    fn as_sent(&self, peer: SocketAddr) -> SocketAddr {
        match peer {
            SocketAddr::V4(v4) if self.dual_stack => {
                SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
            }
            other => other,
        }
    }
}

fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), peer.port()),
        // Keeps the scope of a link-local address.
        IpAddr::V6(_) => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dual_stack_socket_shows_and_answers_ipv4_peers() {
        let server = CoapSocket::bind("[::]:0".parse().unwrap()).unwrap();
        let port = server.local_address().unwrap().port();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"ask", ("127.0.0.1", port)).unwrap();
        let mut buffer = [0; 16];
        let (length, peer) = server.receive(&mut buffer).await.unwrap();
        assert_eq!(
            (&buffer[..length], peer),
            (b"ask".as_slice(), client.local_addr().unwrap())
        );
        server.send(peer, b"answer").await.unwrap();
        let (length, _) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"answer");
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_is_an_error_and_not_the_end() {
        let server = CoapSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(server.send("127.0.0.1:0".parse().unwrap(), b"x").await.is_err());
        assert!(
            server
                .send("127.0.0.1:9".parse().unwrap(), &[0; 70_000])
                .await
                .is_err()
        );
        let other = CoapSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        server.send(other.local_address().unwrap(), b"x").await.unwrap();
        assert_eq!(other.receive(&mut [0; 4]).await.unwrap().0, 1);
    }
}
