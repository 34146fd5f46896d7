//! From a datagram to a request, and from a response to a datagram: RFC 7252's rules that hold for every resource.

use wire_coap::{
    BlockValue, Code, ContentFormat, ETag, Kind, Message, MessageId, OptionNumber, WriteError, Writer,
    reject, reset,
};

/// What a datagram asks for.
pub(crate) enum Incoming<'a> {
    /// Nothing: not CoAP, not a request, or one that must be ignored.
    Ignore,
    /// A Reset.
    Reset([u8; 4]),
    /// An answer that no resource is needed for.
    Refuse(Message<'a>, Response),
    /// To be routed.
    Request(Message<'a>),
}

/// Options a request may carry that this server understands.
const UNDERSTOOD: &[OptionNumber] = &[
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK2,
    OptionNumber::BLOCK1,
    // Elective; what a device echoes was looked at before.
    OptionNumber::ECHO,
];

/// Judges a datagram.
pub(crate) fn parse(datagram: &[u8]) -> Incoming<'_> {
    let Ok(message) = Message::parse(datagram) else {
        return reject(datagram).map_or(Incoming::Ignore, Incoming::Reset);
    };
    if !message.code().is_request() {
        // RFC 7252 §4.2, §4.3: a ping, or a response to nothing we asked, is reset when it is a CON.
        return match message.kind() {
            Kind::Confirmable => Incoming::Reset(reset(message.message_id())),
            _ => Incoming::Ignore,
        };
    }
    judge(message)
}

/// Judges a request by its options.
pub(crate) fn judge(message: Message<'_>) -> Incoming<'_> {
    let is_proxied = [OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME];
    if is_proxied.iter().any(|number| message.option(*number).is_some()) {
        // RFC 7252 §5.10.2.
        return Incoming::Refuse(message, Response::new(Code::PROXYING_NOT_SUPPORTED));
    }
    if message.unrecognized_critical(UNDERSTOOD).next().is_some() {
        // RFC 7252 §5.4.1: 4.02 to a CON, a NON is rejected by ignoring it.
        return match message.kind() {
            Kind::Confirmable => Incoming::Refuse(message, Response::new(Code::BAD_OPTION)),
            _ => Incoming::Ignore,
        };
    }
    Incoming::Request(message)
}

/// A response before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) code: Code,
    pub(crate) etag: Option<ETag>,
    pub(crate) content_format: Option<ContentFormat>,
    /// Seconds.
    pub(crate) max_age: Option<u32>,
    pub(crate) block2: Option<BlockValue>,
    pub(crate) size2: Option<u32>,
    /// What the peer is to send back (RFC 9175).
    pub(crate) echo: Option<[u8; 8]>,
    pub(crate) payload: Vec<u8>,
}

impl Response {
    pub(crate) fn new(code: Code) -> Response {
        let (etag, content_format, max_age) = (None, None, None);
        Response {
            code,
            etag,
            content_format,
            max_age,
            block2: None,
            size2: None,
            echo: None,
            payload: Vec::new(),
        }
    }

    /// RFC 7252 §5.9.3.4: the peer may ask again after `max_age` seconds.
    pub(crate) fn unavailable(max_age: u32) -> Response {
        Response {
            max_age: Some(max_age),
            ..Response::new(Code::SERVICE_UNAVAILABLE)
        }
    }

    /// RFC 7252 §5.5.2: an error with a diagnostic payload.
    pub(crate) fn diagnosed(code: Code, what: &str) -> Response {
        Response {
            payload: what.as_bytes().to_vec(),
            ..Response::new(code)
        }
    }

    /// The datagram: piggybacked on the ACK of a CON (RFC 7252 §5.2.1), or a NON of its own under `fresh`.
    pub(crate) fn encode(&self, request: &Message<'_>, fresh: MessageId) -> Vec<u8> {
        let (kind, id) = match request.kind() {
            Kind::Confirmable => (Kind::Acknowledgement, request.message_id()),
            _ => (Kind::NonConfirmable, fresh),
        };
        let mut buffer = vec![0; OPTIONS_BYTES_MAX + self.payload.len()];
        self.write(&mut buffer, kind, id, request)
            .expect("the buffer has room for every option and the payload")
    }

    fn write(
        &self,
        buffer: &mut [u8],
        kind: Kind,
        id: MessageId,
        request: &Message<'_>,
    ) -> Result<Vec<u8>, WriteError> {
        let mut writer = Writer::new(buffer, kind, self.code, id, request.token())?;
        if let Some(etag) = &self.etag {
            writer.option(OptionNumber::ETAG, etag.as_bytes())?;
        }
        if let Some(format) = self.content_format {
            writer.content_format(format)?;
        }
        if let Some(seconds) = self.max_age {
            writer.uint(OptionNumber::MAX_AGE, seconds)?;
        }
        if let Some(block2) = self.block2 {
            writer.block(OptionNumber::BLOCK2, block2)?;
        }
        if let Some(size2) = self.size2 {
            writer.uint(OptionNumber::SIZE2, size2)?;
        }
        if let Some(echo) = &self.echo {
            writer.option(OptionNumber::ECHO, echo)?;
        }
        writer.payload(&self.payload)?;
        Ok(writer.finish().to_vec())
    }
}

/// Header 4, token 8, `ETag` 9, Content-Format 3, Max-Age 5, Block2 4, Size2 5, Echo 10, payload marker 1: 49, rounded up.
const OPTIONS_BYTES_MAX: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;
    use wire_coap::Token;

    fn datagram(kind: Kind, code: Code, options: &[(OptionNumber, &[u8])]) -> Vec<u8> {
        let mut buffer = [0; 128];
        let token = if code.is_empty() {
            Token::EMPTY
        } else {
            Token::from_u32(0xA1B2_C3D4)
        };
        let mut writer = Writer::new(&mut buffer, kind, code, MessageId(0x1234), token).unwrap();
        for (number, value) in options {
            writer.option(*number, value).unwrap();
        }
        writer.finish().to_vec()
    }

    fn refused(bytes: &[u8]) -> Option<Code> {
        match parse(bytes) {
            Incoming::Refuse(_, response) => Some(response.code),
            _ => None,
        }
    }

    #[test]
    fn another_version_is_silently_ignored() {
        let mut bytes = datagram(Kind::Confirmable, Code::GET, &[]);
        bytes[0] = bytes[0] & 0x3F | 0x80;
        assert!(matches!(parse(&bytes), Incoming::Ignore));
    }

    #[test]
    fn a_malformed_con_is_reset_and_a_malformed_non_ignored() {
        let mut bytes = datagram(Kind::Confirmable, Code::GET, &[]);
        bytes.push(0xFF);
        assert!(matches!(parse(&bytes), Incoming::Reset([0x70, 0, 0x12, 0x34])));
        let mut bytes = datagram(Kind::NonConfirmable, Code::GET, &[]);
        bytes.push(0xFF);
        assert!(matches!(parse(&bytes), Incoming::Ignore));
    }

    #[test]
    fn a_ping_is_reset() {
        let bytes = datagram(Kind::Confirmable, Code::EMPTY, &[]);
        assert!(matches!(parse(&bytes), Incoming::Reset([0x70, 0, 0x12, 0x34])));
    }

    #[test]
    fn acknowledgements_resets_and_stray_responses_get_no_answer_but_a_reset_for_a_con() {
        let stray = datagram(Kind::NonConfirmable, Code::CONTENT, &[]);
        assert!(matches!(parse(&stray), Incoming::Ignore));
        assert!(matches!(
            parse(&datagram(Kind::Acknowledgement, Code::EMPTY, &[])),
            Incoming::Ignore
        ));
        assert!(matches!(
            parse(&datagram(Kind::Reset, Code::EMPTY, &[])),
            Incoming::Ignore
        ));
        assert!(matches!(
            parse(&datagram(Kind::Confirmable, Code::CONTENT, &[])),
            Incoming::Reset(_)
        ));
    }

    #[test]
    fn unknown_critical_options_are_bad_unknown_elective_ones_ignored() {
        let critical: (OptionNumber, &[u8]) = (OptionNumber(2049), b"x");
        let con = datagram(Kind::Confirmable, Code::GET, &[critical]);
        assert_eq!(refused(&con), Some(Code::BAD_OPTION));
        let non = datagram(Kind::NonConfirmable, Code::GET, &[critical]);
        assert!(matches!(parse(&non), Incoming::Ignore));
        let elective = datagram(Kind::Confirmable, Code::GET, &[(OptionNumber(2048), b"x")]);
        assert!(matches!(parse(&elective), Incoming::Request(_)));
    }

    #[test]
    fn proxying_is_not_supported() {
        let bytes = datagram(
            Kind::Confirmable,
            Code::GET,
            &[(OptionNumber::PROXY_URI, b"coap://x/")],
        );
        assert_eq!(refused(&bytes), Some(Code::PROXYING_NOT_SUPPORTED));
    }

    #[test]
    fn a_non_is_answered_with_a_non_of_its_own_id() {
        let bytes = datagram(Kind::NonConfirmable, Code::GET, &[]);
        let request = Message::parse(&bytes).unwrap();
        let reply = Response::new(Code::NOT_FOUND).encode(&request, MessageId(9));
        let reply = Message::parse(&reply).unwrap();
        assert_eq!(
            (reply.kind(), reply.message_id()),
            (Kind::NonConfirmable, MessageId(9))
        );
        assert_eq!(reply.token(), request.token());
    }
}
