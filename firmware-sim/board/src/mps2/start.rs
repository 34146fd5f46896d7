//! Reset to `main`: the vector table, and memory as Rust expects it.
//!
//! In assembly, because no Rust may run before its statics have their values. Interrupts other than the exceptions
//! stay disabled: this firmware polls.
#![expect(unsafe_code, reason = "start-up code and the symbol it calls")]

core::arch::global_asm!(
    ".section .vectors, \"a\"",
    ".word _stack_top",
    ".word board_reset + 1",
    ".word board_nmi_entry + 1",   // 2: NMI, the watchdog
    ".word board_fault_entry + 1", // 3: HardFault; the others escalate to it
    ".rept 12",
    ".word board_fault_entry + 1",
    ".endr",
    "",
    ".section .text.board_start, \"ax\"",
    ".thumb",
    ".balign 4",
    "board_reset:",
    "ldr r0, =_data_start",
    "ldr r1, =_data_end",
    "ldr r2, =_data_load",
    "0: cmp r0, r1",
    "ittt lo",
    "ldrlo r3, [r2], #4",
    "strlo r3, [r0], #4",
    "blo 0b",
    "ldr r0, =_bss_start",
    "ldr r1, =_bss_end",
    "movs r3, #0",
    "1: cmp r0, r1",
    "itt lo",
    "strlo r3, [r0], #4",
    "blo 1b",
    // The stack is painted, to see later how much of it was used.
    "ldr r0, =_stack_end",
    "ldr r1, =_stack_top",
    "ldr r3, =0x5AFE57AC",
    "2: cmp r0, r1",
    "itt lo",
    "strlo r3, [r0], #4",
    "blo 2b",
    "bl board_main",
    "udf #0",
    "",
    // The handlers never return: they start from a fresh stack, since a broken one may be why they run.
    "board_nmi_entry:",
    "mrs r0, msp",
    "ldr r1, =_stack_top",
    "msr msp, r1",
    "bl board_watchdog",
    "board_fault_entry:",
    "mrs r0, msp",
    "ldr r1, =_stack_top",
    "msr msp, r1",
    "bl board_fault",
    ".ltorg",
);

/// What an unused word of the stack holds; the start-up code above says the same.
const PAINT: u32 = 0x5AFE_57AC;

unsafe extern "C" {
    // SAFETY: the linker script defines both around the stack; only their addresses are used.
    safe static _stack_end: u32;
    safe static _stack_top: u32;
}

/// How many bytes of the stack were ever used since reset, and how many there are.
#[must_use]
pub fn stack_used_bytes() -> (usize, usize) {
    let (end, top) = ((&raw const _stack_end).addr(), (&raw const _stack_top).addr());
    let unused = (end..top).step_by(4).take_while(|&at| {
        // SAFETY: an aligned word inside the stack's memory; below the stack pointer nothing writes it meanwhile.
        unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() == PAINT }
    });
    let unused_bytes = unused.count() * 4;
    (top - end - unused_bytes, top - end)
}

/// Makes `$main`, a `fn() -> !`, the program: what runs after reset.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[expect(
            unsafe_code,
            reason = "the start-up code calls the program by this symbol"
        )]
        // SAFETY: the linker finds the symbol in start-up code only, which expects exactly this function.
        #[unsafe(no_mangle)]
        extern "C" fn board_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}
