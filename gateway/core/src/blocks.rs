//! Block-wise replies (RFC 7959), stateless: any block, any time, in any order.

use crate::request::Response;
use wire_coap::{BlockSize, Code, ContentFormat, ETag, Message, OptionError, OptionFault, SliceError, slice};

/// One representation to be served in blocks.
pub(crate) struct Representation {
    pub(crate) size: u32,
    pub(crate) etag: [u8; 4],
    pub(crate) content_format: ContentFormat,
}

/// A reply with a block, or with what forbids it.
pub(crate) struct BlockReply {
    pub(crate) response: Response,
    /// Where the block ends; 0 when there is none.
    pub(crate) end: u32,
    /// Whether the peer is past the first block.
    pub(crate) mid_transfer: bool,
    /// Whether the block is there by right and could not be read.
    pub(crate) is_lost: bool,
}

/// Serves the block that `request` asks for. `read` fills the block from its offset, or says that it cannot.
///
/// Every block carries the `ETag`; the first one, and any whose request carries Size2, the size (RFC 7959 §4).
pub(crate) fn serve(
    request: &Message<'_>,
    size_max: BlockSize,
    what: &Representation,
    read: impl FnOnce(u32, &mut [u8]) -> Result<(), ReadFailed>,
) -> BlockReply {
    let requested = match request.block2() {
        Ok(requested) => requested,
        Err(OptionError {
            fault: OptionFault::ReservedBlockSize,
            ..
        }) => return error(Code::BAD_REQUEST),
        Err(_) => return error(Code::BAD_OPTION),
    };
    match request.accept() {
        Ok(Some(format)) if format != what.content_format => return error(Code::NOT_ACCEPTABLE),
        Ok(_) => {}
        Err(_) => return error(Code::BAD_OPTION),
    }
    let part = match slice(what.size, requested, size_max) {
        Ok(part) => part,
        Err(SliceError::NumberPastEnd) => {
            return error_with(Response::diagnosed(Code::BAD_REQUEST, "block is past the end"));
        }
        Err(_) => return error(Code::BAD_REQUEST),
    };
    let mid_transfer = part.offset > 0;
    let mut payload = vec![0; part.length as usize];
    if read(part.offset, &mut payload).is_err() {
        let response = Response::unavailable(READ_FAILED_MAX_AGE_S);
        return BlockReply {
            response,
            end: 0,
            mid_transfer,
            is_lost: true,
        };
    }
    let response = Response {
        code: Code::CONTENT,
        etag: Some(ETag::from_array(what.etag)),
        content_format: Some(what.content_format),
        max_age: None,
        // RFC 7959 §2.4: a request without Block2 is answered with one only when there is more than one block.
        block2: (requested.is_some() || !part.is_whole()).then_some(part.value),
        size2: (!mid_transfer || request.size2().is_some()).then_some(what.size),
        echo: None,
        payload,
    };
    BlockReply {
        response,
        end: part.offset + part.length,
        mid_transfer,
        is_lost: false,
    }
}

/// The block could not be read.
pub(crate) struct ReadFailed;

/// Seconds after which a peer asks again for a block that could not be read.
const READ_FAILED_MAX_AGE_S: u32 = 30;

fn error(code: Code) -> BlockReply {
    error_with(Response::new(code))
}

fn error_with(response: Response) -> BlockReply {
    BlockReply {
        response,
        end: 0,
        mid_transfer: false,
        is_lost: false,
    }
}
