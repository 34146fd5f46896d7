//! Both sides of the bootloader's table of services: `deltagate_services::table` has its words, `docs/bootloader-services.md` the
//! contract.
//!
//! A program that [`offer_services`](crate::offer_services) has the table where its linker script wants it, which also adds up its
//! check. What is offered uses no memory but its caller's: `scripts/budgets` looks for statics.
#![expect(
    unsafe_code,
    reason = "functions that are called by address, and memory that another program lends"
)]

use core::mem::transmute;
use core::ptr::with_exposed_provenance;
use core::slice;

use deltagate_services::table::{self, MAGIC, NoServices, SERVICES_AT, TABLE_BYTES, VERSION};
use deltagate_services::{
    ENVELOPE_BYTES_MAX, KEYS_MAX, Question, RawQuestion, Refused, Services, Sha256, SignedImage,
};

use crate::parts::{ROM_AT, ROM_BYTES};

type Verify = unsafe extern "C" fn(*const RawQuestion, *mut SignedImage) -> u32;
type Sha256Start = unsafe extern "C" fn(*mut Sha256);
type Sha256Update = unsafe extern "C" fn(*mut Sha256, *const u8, usize);
type Sha256Finish = unsafe extern "C" fn(*mut Sha256, *mut [u8; 32]);

/// The services of the bootloader in this board's ROM.
pub struct BootloaderServices {
    verify: Verify,
    sha256_start: Sha256Start,
    sha256_update: Sha256Update,
    sha256_finish: Sha256Finish,
}

impl BootloaderServices {
    /// Looks at the table.
    ///
    /// # Errors
    /// [`NoServices`]: there is nothing to call.
    pub fn find() -> Result<Self, NoServices> {
        let rom = ROM_AT as u32..(ROM_AT + ROM_BYTES) as u32;
        let found = table::read(
            |word| {
                // SAFETY: `read` asks for words of the longest table at most; these are in the ROM, aligned and never written.
                unsafe { with_exposed_provenance::<u32>(ROM_AT + SERVICES_AT + 4 * word).read_volatile() }
            },
            rom,
        )?;
        let place = |at: u32| with_exposed_provenance::<()>(at as usize);
        // SAFETY: a table that is sound, of a version from 1 on, names functions of these types: that is its contract.
        Ok(unsafe {
            Self {
                verify: transmute::<*const (), Verify>(place(found.verify)),
                sha256_start: transmute::<*const (), Sha256Start>(place(found.sha256_start)),
                sha256_update: transmute::<*const (), Sha256Update>(place(found.sha256_update)),
                sha256_finish: transmute::<*const (), Sha256Finish>(place(found.sha256_finish)),
            }
        })
    }
}

impl Services for BootloaderServices {
    fn verify(&self, question: &Question<'_>) -> Result<SignedImage, Refused> {
        let mut image = SignedImage::default();
        // SAFETY: the question borrows all that it points to, and the image is ours, until the call returns.
        let code = unsafe { (self.verify)(&RawQuestion::from(question), &mut image) };
        Refused::from_code(code).map_or(Ok(image), Err)
    }

    fn sha256_start(&self, state: &mut Sha256) {
        // SAFETY: 128 bytes, aligned to 8, borrowed until the call returns; any bytes are a value of the type.
        unsafe { (self.sha256_start)(state) }
    }

    fn sha256_update(&self, state: &mut Sha256, bytes: &[u8]) {
        // SAFETY: as above, and `bytes` are borrowed as long.
        unsafe { (self.sha256_update)(state, bytes.as_ptr(), bytes.len()) }
    }

    fn sha256_finish(&self, state: &mut Sha256) -> [u8; 32] {
        let mut digest = [0; 32];
        // SAFETY: as above, and the digest is ours.
        unsafe { (self.sha256_finish)(state, &mut digest) };
        digest
    }
}

/// The table, as [`offer_services`](crate::offer_services) makes it.
#[repr(C, align(64))]
pub struct Table {
    magic: u32,
    version: u16,
    bytes: u16,
    verify: Verify,
    sha256_start: Sha256Start,
    sha256_update: Sha256Update,
    sha256_finish: Sha256Finish,
    check: *const u8,
}

const _: () = assert!(core::mem::offset_of!(Table, check) == TABLE_BYTES as usize - 4);

// SAFETY: constants; the pointer is a number that the linker adds up, and nothing is there.
unsafe impl Sync for Table {}

unsafe extern "C" {
    // SAFETY: an absolute symbol of the linker script, of which only the address is used.
    safe static services_check: u8;
}

impl Table {
    /// The table with this way to verify.
    #[must_use]
    pub const fn new(verify: Verify) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            bytes: TABLE_BYTES,
            verify,
            sha256_start: services_sha256_start,
            sha256_update: services_sha256_update,
            sha256_finish: services_sha256_finish,
            check: &raw const services_check,
        }
    }
}

/// Answers a question that came through the table.
///
/// # Safety
/// `question` and what it points to can be read, and `image` written, as the table's contract says.
pub unsafe fn answer(
    question: *const RawQuestion,
    image: *mut SignedImage,
    verify: fn(&Question<'_>) -> Result<SignedImage, Refused>,
) -> u32 {
    // SAFETY: the caller's.
    let raw = unsafe { &*question };
    let [keys_count, least, ..] = raw.keys_count.to_le_bytes();
    if raw.envelope_bytes > ENVELOPE_BYTES_MAX
        || usize::from(keys_count) > KEYS_MAX
        || raw.keys_count > usize::from(u16::MAX)
    {
        return Refused::Unsupported.code();
    }
    // SAFETY: the caller's; the lengths are bounded.
    let question = unsafe {
        Question {
            envelope: slice::from_raw_parts(raw.envelope, raw.envelope_bytes),
            vendor_id: &*raw.vendor_id,
            class_id: &*raw.class_id,
            keys: slice::from_raw_parts(raw.keys, keys_count.into()),
            least,
        }
    };
    match verify(&question) {
        Ok(verified) => {
            // SAFETY: the caller's.
            unsafe { image.write(verified) };
            0
        }
        Err(refused) => refused.code(),
    }
}

// SAFETY: the linker script adds up the table's check by this name and the next two; nobody else has them.
#[unsafe(no_mangle)]
unsafe extern "C" fn services_sha256_start(state: *mut Sha256) {
    // SAFETY: the table's contract.
    unsafe { state.write(Sha256::new()) }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn services_sha256_update(state: *mut Sha256, bytes: *const u8, length: usize) {
    // SAFETY: the table's contract; any bytes are a value of the state's type.
    unsafe { (*state).update(slice::from_raw_parts(bytes, length)) }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn services_sha256_finish(state: *mut Sha256, digest: *mut [u8; 32]) {
    // SAFETY: the table's contract; any bytes are a value of the state's type.
    unsafe { digest.write((*state).finish()) }
}

/// Puts the table of services into this program, a bootloader: `$verify` is a
/// `fn(&Question) -> Result<SignedImage, Refused>` that uses no memory but its stack.
#[macro_export]
macro_rules! offer_services {
    ($verify:path) => {
        #[expect(unsafe_code, reason = "the linker script knows the symbol")]
        // SAFETY: the name is nobody else's.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn services_verify(
            question: *const $crate::RawQuestion,
            image: *mut $crate::SignedImage,
        ) -> u32 {
            // SAFETY: the contract is the same.
            unsafe { $crate::answer(question, image, $verify) }
        }

        #[expect(
            unsafe_code,
            reason = "the linker script puts it where images look for it"
        )]
        // SAFETY: the name is nobody else's, and the section the table's own.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".services")]
        #[used]
        static services_table: $crate::Table = $crate::Table::new(services_verify);
    };
}
