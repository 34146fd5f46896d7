//! What anybody hears who listens all the time: the numbers of protected messages, and the ephemeral keys of handshakes.

use std::collections::BTreeMap;
use wire_coap::{Message, MessageId, OptionNumber};
use wire_oscore::OscoreOption;

/// Everything that one device and the gateway ever said to each other under OSCORE.
#[derive(Debug, Default)]
pub(crate) struct Air {
    /// Each message of the device by its keys and number. Its copies are the same bytes.
    requests: BTreeMap<(Keys, u64), Vec<u8>>,
    /// Each message of the gateway under a number of its own, by the keys of what it answers, and number.
    answers: BTreeMap<(Keys, u64), Vec<u8>>,
    /// The kid context that the device named last under each key id: what does not name one is under the same keys.
    named: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Each answer under a request's number, by that request: a second one would take the same nonce.
    replies: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Each message_1 of a handshake, which is an ephemeral key, by its payload. Its copies are the same bytes.
    hellos: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The latest request of each message id and token: its keys, and the whole of it.
    asked: BTreeMap<(MessageId, Vec<u8>), Asked>,
}

/// Key id and kid context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Keys(Vec<u8>, Vec<u8>);

/// A request.
#[derive(Clone, Debug)]
struct Asked {
    keys: Keys,
    datagram: Vec<u8>,
}

impl Air {
    /// Hears a device. An error is a broken promise.
    pub(crate) fn uplink(&mut self, datagram: &[u8]) -> Result<(), String> {
        let Some((message, option)) = read(datagram).filter(|(message, _)| message.code().is_request())
        else {
            return Ok(());
        };
        let Some(option) = option else {
            // How a device with a key of its own gets others: no secret is in it.
            if message.path_is(&[".well-known", "edhoc"]) {
                let known = self.hellos.entry(message.payload().to_vec());
                return match known.or_insert_with(|| datagram.to_vec()) == datagram {
                    true => Ok(()),
                    false => Err("the device began two handshakes with one ephemeral key".into()),
                };
            }
            return match self.requests.is_empty() {
                true => Ok(()),
                false => Err(format!(
                    "{} in the clear, from a device that has keys",
                    message.code()
                )),
            };
        };
        let (Some(kid), Some(number)) = (option.kid, option.partial_iv) else {
            return Err("a protected request without key id or number".into());
        };
        if let Some(named) = option.kid_context {
            self.named.insert(kid.to_vec(), named.to_vec());
        }
        let named = self.named.get(kid).cloned().unwrap_or_default();
        let keys = Keys(kid.to_vec(), named);
        let key = (keys.clone(), number.value());
        let known = self.requests.entry(key).or_insert_with(|| datagram.to_vec());
        if known != datagram {
            return Err(format!(
                "the device used number {} for two messages",
                number.value()
            ));
        }
        let asked = (message.message_id(), message.token().as_bytes().to_vec());
        let datagram = datagram.to_vec();
        self.asked.insert(asked, Asked { keys, datagram });
        Ok(())
    }

    /// Hears the gateway answer that device.
    pub(crate) fn downlink(&mut self, datagram: &[u8]) -> Result<(), String> {
        let Some((message, Some(option))) = read(datagram) else {
            return Ok(());
        };
        let answers = (message.message_id(), message.token().as_bytes().to_vec());
        let Some(Asked {
            keys,
            datagram: request,
        }) = self.asked.get(&answers).cloned()
        else {
            return Ok(());
        };
        let (known, what) = match option.partial_iv {
            Some(number) => {
                let known = self.answers.entry((keys, number.value()));
                (known.or_insert_with(|| datagram.to_vec()), "number of its own")
            }
            None => (
                self.replies.entry(request).or_insert_with(|| datagram.to_vec()),
                "request's number",
            ),
        };
        match known == datagram {
            true => Ok(()),
            false => Err(format!("the gateway used a {what} for two messages")),
        }
    }
}

fn read(datagram: &[u8]) -> Option<(Message<'_>, Option<OscoreOption<'_>>)> {
    let message = Message::parse(datagram).ok()?;
    let option = message.option(OptionNumber::OSCORE);
    let option = option.and_then(|value| OscoreOption::parse(value).ok());
    Some((message, option))
}
