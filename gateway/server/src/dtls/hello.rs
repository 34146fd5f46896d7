//! A ClientHello, read before anything is kept because of it (RFC 6347 §4.2, RFC 5246 §7.4.1.2).
//!
//! ```text
//! handshake   type 1 ‖ length 3 ‖ message number 2 ‖ fragment offset 3 ‖ fragment length 3
//! hello       version 2 ‖ random 32 ‖ session id 1 + n ‖ cookie 1 + n ‖ suites 2 + n ‖ compression 1 + n ‖ extensions 2 + n
//! ```
//!
//! Of a hello in fragments nothing is made: whoever would put them together keeps something for everybody. With this suite it has about
//! 150 bytes, and fits every path that carries CoAP.

use super::cookie::COOKIE_BYTES;
use super::record::{self, HANDSHAKE, Record, VERSION_1_0, VERSION_1_2};

/// A ClientHello.
#[derive(Debug)]
pub(super) struct Hello<'a> {
    /// Of its record.
    pub(super) record_number: u64,
    /// The client's.
    pub(super) random: [u8; 32],
    pub(super) cookie: &'a [u8],
    /// Version, random and session id.
    before_cookie: &'a [u8],
    /// Suites, compression and extensions.
    after_cookie: &'a [u8],
    suites: &'a [u8],
    compression: &'a [u8],
    extensions: &'a [u8],
}

/// Why a datagram is no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotHello {
    /// It says that it is one.
    Broken,
    /// It is something else.
    Other,
}

/// Why a client is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It speaks DTLS 1.0 only.
    Version,
    /// It does not offer the suite.
    Suite,
    /// It does not offer the extended master secret (RFC 7627), which dimpl insists on.
    MasterSecret,
}

const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// `TLS_PSK_WITH_AES_128_CCM_8`, RFC 6655 §4.
const SUITE: [u8; 2] = [0xC0, 0xA8];
/// RFC 7627 §5.1.
const EXTENDED_MASTER_SECRET: [u8; 2] = [0x00, 0x17];
/// Far more than anybody counts to before the cookie, and leaves room for what is counted behind it.
const RECORD_NUMBER_MAX: u64 = 1 << 32;

impl<'a> Hello<'a> {
    /// Reads a datagram that is one ClientHello in one record and one fragment.
    pub(super) fn read(datagram: &'a [u8]) -> Result<Hello<'a>, NotHello> {
        let (record, rest) = Record::read(datagram).ok_or(NotHello::Other)?;
        let is_hello = record.content_type == HANDSHAKE
            && record.epoch == 0
            && record.fragment.first() == Some(&CLIENT_HELLO);
        if !is_hello {
            return Err(NotHello::Other);
        }
        let hello = Hello::parse(&record).filter(|_| rest.is_empty());
        hello.ok_or(NotHello::Broken)
    }

    fn parse(record: &Record<'a>) -> Option<Hello<'a>> {
        let (header, body) = record.fragment.split_first_chunk::<12>()?;
        let [_, length @ .., _, _, o0, o1, o2, f0, f1, f2] = *header;
        let three =
            |bytes: [u8; 3]| usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let is_whole = [three(length), three([f0, f1, f2])] == [body.len(); 2] && three([o0, o1, o2]) == 0;
        if !is_whole || record.number > RECORD_NUMBER_MAX {
            return None;
        }
        let mut rest = body.get(2 + 32..)?;
        let random = *body.get(2..)?.first_chunk::<32>()?;
        let _session_id = short(&mut rest)?;
        let before_cookie = body.get(..body.len() - rest.len())?;
        let cookie = short(&mut rest)?;
        let after_cookie = rest;
        let suites = long(&mut rest)?;
        let compression = short(&mut rest)?;
        let extensions = match rest {
            [] => rest,
            _ => long(&mut rest)?,
        };
        rest.is_empty().then_some(Hello {
            record_number: record.number,
            random,
            cookie,
            before_cookie,
            after_cookie,
            suites,
            compression,
            extensions,
        })
    }

    /// Whether anything that it offers is served.
    pub(super) fn fits(&self) -> Result<(), Unfit> {
        if !self.before_cookie.starts_with(&VERSION_1_2) {
            return Err(Unfit::Version);
        }
        if !self.suites.chunks_exact(2).any(|suite| suite == SUITE) {
            return Err(Unfit::Suite);
        }
        let mut rest = self.extensions;
        while let Some((kind, behind)) = rest.split_first_chunk::<2>() {
            if *kind == EXTENDED_MASTER_SECRET {
                return Ok(());
            }
            rest = behind;
            if long(&mut rest).is_none() {
                break;
            }
        }
        Err(Unfit::MasterSecret)
    }

    /// What a cookie is bound to besides an address: everything that must not change between the two hellos.
    pub(super) fn parameters(&self) -> [&[u8]; 3] {
        [self.before_cookie, self.suites, self.compression]
    }

    /// The answer to a hello without a cookie: under the number of its record, as RFC 6347 §4.2.1 wants it.
    pub(super) fn verify_request(&self, cookie: &[u8; COOKIE_BYTES]) -> Vec<u8> {
        let mut body = VERSION_1_0.to_vec();
        body.push(COOKIE_BYTES as u8);
        body.extend_from_slice(cookie);
        let message = message(HELLO_VERIFY_REQUEST, &body);
        record::record(HANDSHAKE, VERSION_1_0, self.record_number, &message)
    }

    /// The hello that came before this one: without a cookie, and the first message.
    pub(super) fn without_cookie(&self) -> Vec<u8> {
        let body = [self.before_cookie, &[0], self.after_cookie].concat();
        record::record(HANDSHAKE, VERSION_1_2, 0, &message(CLIENT_HELLO, &body))
    }
}

/// The first message of a handshake, in one fragment.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let [_, length @ ..] = length;
    [&[kind], &length[..], &[0; 5], &length, body].concat()
}

/// What a length of one byte says.
fn short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first()?;
    let (taken, behind) = behind.split_at_checked(usize::from(*length))?;
    *rest = behind;
    Some(taken)
}

/// What a length of two bytes says.
fn long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<2>()?;
    let (taken, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello with these suites and extensions, as message `number`.
    pub(in crate::dtls) fn hello(number: u8, cookie: &[u8], suites: &[u8], extensions: &[u8]) -> Vec<u8> {
        let mut body = [&VERSION_1_2[..], &[0x5A; 32], &[0], &[cookie.len() as u8], cookie].concat();
        body.extend((suites.len() as u16).to_be_bytes());
        body.extend(suites);
        body.extend([1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = message(CLIENT_HELLO, &body);
        message[5] = number;
        record::record(HANDSHAKE, VERSION_1_0, u64::from(number), &message)
    }

    pub(in crate::dtls) const FITTING: (&[u8], &[u8]) = (&[0xC0, 0xA8], &[0, 0x17, 0, 0]);

    #[test]
    fn what_is_offered_is_found_out() {
        let (suites, extensions) = FITTING;
        let fits = |suites: &[u8], extensions: &[u8]| {
            let datagram = hello(0, &[], suites, extensions);
            Hello::read(&datagram).unwrap().fits()
        };
        assert_eq!(fits(&[0, 1, 0xC0, 0xA8], &[0, 9, 0, 1, 7, 0, 0x17, 0, 0]), Ok(()));
        assert_eq!(fits(&[0xC0, 0xA7], extensions), Err(Unfit::Suite));
        assert_eq!(fits(&[0, 0xC0, 0xA8, 0], extensions), Err(Unfit::Suite));
        assert_eq!(fits(suites, &[]), Err(Unfit::MasterSecret));
        assert_eq!(fits(suites, &[0, 9, 0, 8, 0, 0x17]), Err(Unfit::MasterSecret));
        let mut old = hello(0, &[], suites, extensions);
        old[13 + 12 + 1] = 0xFF;
        assert_eq!(Hello::read(&old).unwrap().fits(), Err(Unfit::Version));
    }

    #[test]
    fn what_is_cut_or_in_pieces_is_no_hello() {
        let (suites, extensions) = FITTING;
        let whole = hello(1, &[9; 32], suites, extensions);
        let read = Hello::read(&whole).unwrap();
        assert_eq!(
            (read.cookie, read.record_number, read.random),
            (&[9; 32][..], 1, [0x5A; 32])
        );
        for end in 0..whole.len() {
            assert_eq!(Hello::read(&whole[..end]).unwrap_err(), NotHello::Other, "{end}");
        }
        for (at, why) in [
            (13, NotHello::Other),
            (13 + 3, NotHello::Broken),
            (13 + 8, NotHello::Broken),
            (13 + 11, NotHello::Broken),
        ] {
            let mut touched = whole.clone();
            touched[at] ^= 1;
            assert_eq!(Hello::read(&touched).unwrap_err(), why, "{at}");
        }
        let two = [&whole[..], &whole].concat();
        assert_eq!(Hello::read(&two).unwrap_err(), NotHello::Broken);
        let before = hello(0, &[], suites, extensions);
        assert_eq!(read.without_cookie()[13..], before[13..]);
    }
}
