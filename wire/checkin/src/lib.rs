//! The check-in: what a device says of itself and what the gateway answers, as CBOR.
