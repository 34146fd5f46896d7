//! A program of nothing but the decoder, to weigh it. Never run.
//!
//! `DELTAGATE_FOOTPRINT` says what is in it: `nothing`, the `decoder`, or the decoder and its `checkpoints`.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program {
    use wire_patch::{
        CheckpointStorage, Decoder, Header, IoFailed, OUTPUT_PIECE_BYTES, Output, Progress, ReadAt,
    };

    /// Storage that the compiler knows nothing about.
    struct Storage {
        bytes: u32,
        read: fn(u32, &mut [u8]) -> Result<(), IoFailed>,
        append: fn(&[u8]) -> Result<(), IoFailed>,
    }

    impl ReadAt for Storage {
        fn len(&self) -> u32 {
            self.bytes
        }

        fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
            (self.read)(offset, buf)
        }
    }

    impl Output for Storage {
        fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
            (self.append)(bytes)
        }

        fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
            (self.read)(offset, buf)
        }
    }

    impl CheckpointStorage for Storage {
        fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
            (self.append)(piece)
        }
    }

    struct Device<'m> {
        header: [u8; 22],
        memory: &'m mut [u8],
        base: Storage,
        patch: Storage,
        out: Storage,
        checkpoint: Storage,
    }

    /// Zero when the result is there.
    fn decode(device: &mut Device<'_>) -> u32 {
        let Device {
            header,
            memory,
            base,
            patch,
            out,
            checkpoint,
        } = device;
        let Ok(header) = Header::parse(header) else {
            return 1;
        };
        let Ok(mut decoder) = Decoder::new(header, memory) else {
            return 2;
        };
        if cfg!(footprint = "checkpoints") && decoder.resume(patch, checkpoint).is_err() {
            return 5;
        }
        loop {
            match decoder.step(base, patch, out, 1_000) {
                Ok(Progress::Done) => return 0,
                Ok(Progress::More) => {}
                Err(_) => return 3,
            }
            if cfg!(footprint = "checkpoints") && decoder.checkpoint(patch, checkpoint).is_err() {
                return 4;
            }
        }
    }

    fn nothing(_: &mut Device<'_>) -> u32 {
        0
    }

    #[used]
    static PROGRAM: fn(&mut Device<'_>) -> u32 = if cfg!(footprint = "nothing") {
        nothing
    } else {
        decode
    };

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("footprint: this is not run; scripts/bench-decoder weighs it");
    std::process::exit(2);
}
