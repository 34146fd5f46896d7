//! The draft's words for its numbers, for messages. Interpretation never depends on these tables.

/// draft-ietf-suit-manifest-37 §8.4: members of a manifest; severable ones keep their number in the envelope.
pub(crate) fn manifest_member(key: i32) -> Option<&'static str> {
    Some(match key {
        1 => "manifest-version",
        2 => "manifest-sequence-number",
        3 => "common",
        4 => "reference-uri",
        7 => "validate",
        8 => "load",
        9 => "invoke",
        16 => "payload-fetch",
        20 => "install",
        23 => "text",
        _ => return None,
    })
}

/// Members of common.
pub(crate) fn common_member(key: i32) -> Option<&'static str> {
    Some(match key {
        1 => "dependencies",
        2 => "components",
        4 => "shared-sequence",
        _ => return None,
    })
}

/// Conditions and directives; 28 is draft-ietf-suit-update-management's.
pub(crate) fn command(command: i32) -> Option<&'static str> {
    Some(match command {
        1 => "condition-vendor-identifier",
        2 => "condition-class-identifier",
        3 => "condition-image-match",
        5 => "condition-component-slot",
        6 => "condition-check-content",
        12 => "directive-set-component-index",
        14 => "condition-abort",
        15 => "directive-try-each",
        18 => "directive-write",
        20 => "directive-override-parameters",
        21 => "directive-fetch",
        22 => "directive-copy",
        23 => "directive-invoke",
        24 => "condition-device-identifier",
        28 => "condition-version",
        31 => "directive-swap",
        32 => "directive-run-sequence",
        _ => return None,
    })
}

/// Parameters.
pub(crate) fn parameter(key: i32) -> Option<&'static str> {
    Some(match key {
        1 => "vendor-identifier",
        2 => "class-identifier",
        3 => "image-digest",
        5 => "component-slot",
        12 => "strict-order",
        13 => "soft-failure",
        14 => "image-size",
        18 => "content",
        21 => "uri",
        22 => "source-component",
        23 => "invoke-args",
        24 => "device-identifier",
        25 => "fetch-arguments",
        28 => "version",
        _ => return None,
    })
}

/// COSE hash algorithms (RFC 9054).
pub(crate) fn digest_algorithm(id: i32) -> Option<&'static str> {
    Some(match id {
        -16 => "SHA-256",
        -18 => "SHAKE128",
        -43 => "SHA-384",
        -44 => "SHA-512",
        -45 => "SHAKE256",
        _ => return None,
    })
}
