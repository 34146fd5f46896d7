//! Reset to `main`: the vector table, and memory as Rust expects it.
//!
//! In assembly, because no Rust may run before its statics have their values. Interrupts other than the exceptions
//! stay disabled: this firmware polls.
#![expect(unsafe_code, reason = "start-up code")]

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
