//! Two CoAP clients that nobody here wrote fetch an image from a running gateway, at every block size; one of them also under a key.
//!
//! `coap-client-notls` is libcoap's (Debian package `libcoap3-bin`), aiocoap comes from `scripts/interop-tools`. A missing
//! client fails the test that needs it. libcoap's client exits 0 even when it got nothing or something else, so
//! only the bytes count: their SHA-256 against that of what was imported.

mod clients;
mod gateway;

use clients::{Client, Failed, Protected};
use gateway::{Gateway, sha256};

/// More than 16 blocks of 1024 bytes, and a last block that is full at none of the sizes.
const IMAGE_BYTES: usize = 20_011;
/// At 16 bytes a block the last number is 4375: past 4095, where 12-bit numbers end.
const LONG_IMAGE_BYTES: usize = 70_001;

const BLOCK_SIZES: [u16; 7] = [16, 32, 64, 128, 256, 512, 1024];

#[test]
fn libcoap_gets_the_image_at_every_block_size() {
    fetch_at(Client::Libcoap, IMAGE_BYTES, &BLOCK_SIZES.map(Some));
}

#[test]
fn aiocoap_gets_the_image_at_every_block_size() {
    fetch_at(Client::Aiocoap, IMAGE_BYTES, &BLOCK_SIZES.map(Some));
}

#[test]
fn libcoap_gets_the_image_without_asking_for_blocks() {
    fetch_at(Client::Libcoap, IMAGE_BYTES, &[None]);
}

#[test]
fn aiocoap_gets_the_image_without_asking_for_blocks() {
    fetch_at(Client::Aiocoap, IMAGE_BYTES, &[None]);
}

#[test]
fn libcoap_gets_block_numbers_past_4095() {
    fetch_at(Client::Libcoap, LONG_IMAGE_BYTES, &[Some(16)]);
}

#[test]
fn aiocoap_gets_block_numbers_past_4095() {
    fetch_at(Client::Aiocoap, LONG_IMAGE_BYTES, &[Some(16)]);
}

/// Where nobody without a key is served: a device with one, on OSCORE that nobody here wrote. How far it counted lies in files, so the
/// fetches are one device's that was started anew each time.
#[test]
fn aiocoap_gets_the_image_under_its_key_and_nobody_without() {
    let image = scrambled(IMAGE_BYTES);
    let gateway = Gateway::protected(&image);
    let uri = gateway.image_uri(&image);
    for client in [Client::Libcoap, Client::Aiocoap] {
        let Failed { complaint } = client.fetch(&uri, Some(64)).unwrap_err();
        assert!(complaint.contains("4.01"), "{client:?} says: {complaint}");
    }
    let device = Protected::with(&gateway.enrol("525400000001"));
    for block_size in [Some(64), Some(1_024), None] {
        let fetched = device.fetch(&uri, block_size);
        let fetched =
            fetched.unwrap_or_else(|Failed { complaint }| panic!("nothing at {block_size:?}: {complaint}"));
        assert_eq!(sha256(&fetched), sha256(&image), "at block size {block_size:?}");
    }
}

#[test]
fn image_that_was_never_imported_is_not_found() {
    let gateway = Gateway::serving(&scrambled(IMAGE_BYTES));
    let uri = gateway.image_uri(b"never imported");
    for client in [Client::Libcoap, Client::Aiocoap] {
        let Failed { complaint } = client.fetch(&uri, Some(64)).unwrap_err();
        assert!(complaint.contains("4.04"), "{client:?} says: {complaint}");
    }
}

fn fetch_at(client: Client, image_bytes: usize, block_sizes: &[Option<u16>]) {
    let image = scrambled(image_bytes);
    let gateway = Gateway::serving(&image);
    let uri = gateway.image_uri(&image);
    for block_size in block_sizes {
        let fetched = client
            .fetch(&uri, *block_size)
            .unwrap_or_else(|Failed { complaint }| {
                panic!("{client:?} got nothing from {uri} at block size {block_size:?}: {complaint}")
            });
        assert_eq!(
            fetched.len(),
            image.len(),
            "{client:?} at block size {block_size:?}"
        );
        assert_eq!(
            sha256(&fetched),
            sha256(&image),
            "{client:?} at block size {block_size:?}"
        );
    }
}

/// Bytes that no compression shortens and no two blocks share, the same in every run.
fn scrambled(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
