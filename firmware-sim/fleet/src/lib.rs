//! The whole system: emulated devices, link emulator, virtual time.
