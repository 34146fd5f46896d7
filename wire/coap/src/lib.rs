//! CoAP as both ends speak it: bounded zero-copy codec, block-wise transfer, reliability as state machines.
