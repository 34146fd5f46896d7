//! Every way in for bytes from anybody, as one function: what tests and fuzzing call.

use wire_coap::Message;
use wire_oscore::Id;

use crate::transport::{Payload, is_combined, split};
use crate::{Credential, Fault, HalfOpen, Hello, Initiator, PrivateKey};

/// Gives the bytes to every reader there is, as a datagram, as a payload and as each of the messages, in a handshake that awaits it.
/// None takes them, unless they are a message_1.
///
/// # Panics
/// When one takes what nobody made: a fault of this crate.
pub fn any_bytes(bytes: &[u8]) {
    let mut buffer = [0; 2_048];
    if let Ok(message) = Message::parse(bytes)
        && let Ok((message_3, protected)) = split(&message, &mut buffer)
    {
        assert!(is_combined(&message) && message_3.len() + protected.len() <= bytes.len());
    }
    let message = match Payload::read(bytes) {
        Ok(Payload::First(message) | Payload::Third(_, message)) => message,
        Err(_) => bytes,
    };
    for message in [bytes, message] {
        let taken = offer(message);
        assert!(taken.is_err(), "a handshake took what nobody made: {taken:?}");
    }
}

/// `Ok` if any reader but that of message_1 takes it.
fn offer(message: &[u8]) -> Result<(), Fault> {
    let key = |seed| PrivateKey::of_seed(&[seed; 32]);
    let (ours, theirs) = (key(1)?, key(2)?);
    let (cred_i, cred_r) = (
        Credential::new(&[1], ours.public())?,
        Credential::new(&[2], theirs.public())?,
    );
    let (initiator, message_1) = Initiator::start(&key(3)?, Id::EMPTY)?;
    let c_r = Id::new(&[0x80]).ok_or(Fault::Malformed)?;
    let answer = |bytes: &[u8]| -> Result<(HalfOpen, _), Fault> {
        Hello::read(bytes)?.answer(&theirs, &cred_r, &key(4)?, c_r)
    };
    // A stranger's message_1 is answered, if it is one.
    _ = answer(message);
    let (half_open, message_2) = answer(message_1.as_bytes())?;
    let (mut proved, _) = initiator.answer(message_2.as_bytes(), &ours, &cred_i, &cred_r)?;
    initiator
        .answer(message, &ours, &cred_i, &cred_r)
        .map(|_| ())
        .or_else(|_| half_open.open(message).map(|_| ()))
        .or_else(|_| proved.confirm(message))
}
