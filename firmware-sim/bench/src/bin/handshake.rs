//! The device's side of EDHOC, on its own: what it takes of flash, stack and time. Prints it, and whether it made message_3 of RFC 9529.
//!
//! `DELTAGATE_FOOTPRINT=nothing` leaves the handshake out: what is left is the board's.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program {
    use core::fmt::Write;
    use core::hint::black_box;

    use board::Board;

    #[cfg(not(footprint = "nothing"))]
    mod device {
        use wire_edhoc::{Credential, Fault, Initiator, PrivateKey, PublicKey};
        use wire_oscore::Id;

        pub(super) struct Trace {
            pub(super) x: [u8; 32],
            pub(super) key: [u8; 32],
            pub(super) gateway: [u8; 32],
            pub(super) cred_i: &'static [u8],
            pub(super) cred_r: &'static [u8],
            pub(super) message_2: &'static [u8],
        }

        #[inline(never)]
        pub(super) fn first(trace: &Trace) -> Result<Initiator, Fault> {
            let x = PrivateKey::new(&trace.x)?;
            Ok(Initiator::preferring(&[6], &x, Id::new(&[0x37]).ok_or(Fault::SameIds)?)?.0)
        }

        #[inline(never)]
        pub(super) fn third(trace: &Trace, initiator: &Initiator) -> Result<[u8; 19], Fault> {
            let key = PrivateKey::new(&trace.key)?;
            let ours = Credential::of(trace.cred_i, &[0x2B], key.public())?;
            let theirs = Credential::of(trace.cred_r, &[0x32], &PublicKey::new(&trace.gateway)?)?;
            let (_, message_3) = initiator.answer(trace.message_2, &key, &ours, &theirs)?;
            message_3
                .as_bytes()
                .first_chunk()
                .copied()
                .ok_or(Fault::Malformed)
        }
    }

    /// RFC 9529 §3, as in fixtures/edhoc.
    #[cfg(not(footprint = "nothing"))]
    const TRACE: device::Trace = device::Trace {
        x: hex("368ec1f69aeb659ba37d5a8d45b21bdc0299dceaa8ef235f3ca42ce3530f9525"),
        key: hex("fb13adeb6518cee5f88417660841142e830a81fe334380a953406a1305e8706b"),
        gateway: hex("bbc34960526ea4d32e940cad2a234148ddc21791a12afbcbac93622046dd44f0"),
        cred_i: &hex::<107>(concat!(
            "a2027734322d35302d33312d46462d45462d33372d33322d333908a101a5010202412b2001215820",
            "ac75e9ece3e50bfc8ed60399889522405c47bf16df96660a41298cb4307f7eb6",
            "2258206e5de611388a4b8a8211334ac7d37ecb52a387d257e6db3c2a93df21ff3affc8",
        )),
        cred_r: &hex::<95>(concat!(
            "a2026b6578616d706c652e65647508a101a501020241322001215820",
            "bbc34960526ea4d32e940cad2a234148ddc21791a12afbcbac93622046dd44f0",
            "2258204519e257236b2a0ce2023f0931f1f386ca7afda64fcde0108c224c51eabf6072",
        )),
        message_2: &hex::<45>(concat!(
            "582b419701d7f00a26c2dc587a36dd752549f33763c893422c8ea0f955a13a4ff5d5",
            "9862a1eef9e0e7e1886fcd",
        )),
    };
    #[cfg(not(footprint = "nothing"))]
    const MESSAGE_3: [u8; 19] = hex("52e562097bc417dd5919485ac7891ffd90a9fc");

    #[cfg(not(footprint = "nothing"))]
    const fn hex<const N: usize>(text: &str) -> [u8; N] {
        let (digits, mut bytes, mut at) = (text.as_bytes(), [0; N], 0);
        while at < 2 * N {
            let digit = digits[at];
            let value = if digit >= b'a' {
                digit - b'a' + 10
            } else {
                digit - b'0'
            };
            bytes[at / 2] = bytes[at / 2] << 4 | value;
            at += 1;
        }
        bytes
    }

    /// With `-icount shift=0` and the clock's 25 MHz.
    const INSTRUCTIONS_PER_TICK: u64 = 40;

    board::entry!(main);

    fn main() -> ! {
        let mut board = Board::take().expect("the first to ask");
        let (before, _) = board::stack_used_bytes();
        let start = board.clock.ticks();
        let made = handshake(&mut board);
        let end = board.clock.ticks();
        let (after, _) = board::stack_used_bytes();
        let _ = writeln!(
            board.uart,
            "handshake: {made} {} instructions, {} bytes of stack",
            (end - start) * INSTRUCTIONS_PER_TICK,
            after - before,
        );
        board::reset()
    }

    #[cfg(not(footprint = "nothing"))]
    fn handshake(_: &mut Board) -> &'static str {
        let trace = black_box(TRACE);
        let made = device::first(&trace).and_then(|initiator| device::third(&trace, black_box(&initiator)));
        match made {
            Ok(message_3) if message_3 == MESSAGE_3 => "message_3 of RFC 9529",
            Ok(_) => "another message_3",
            Err(_) => "no message_3",
        }
    }

    #[cfg(footprint = "nothing")]
    fn handshake(_: &mut Board) -> &'static str {
        black_box("nothing")
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        let _ = writeln!(board::uart_for_panic(), "\nhandshake: panic");
        board::reset()
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "handshake: this is firmware; scripts/bench-handshake builds it and runs it on the emulated board"
    );
    std::process::exit(2);
}
