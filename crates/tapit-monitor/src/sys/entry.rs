//! Where the kernel enters the program, and the few functions that the compiler takes for granted.

use core::ffi::{c_char, c_void};

use super::{Args, calls};

const PANICKED: i32 = 101;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    // The outermost frame has none above it. At entry the stack pointer is where the arguments are.
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl {begin}",
    "brk #1",
    begin = sym begin,
);

/// `stack` is where the kernel has put the number of arguments and, right behind it, the pointers to them.
extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: called by the entry point alone, with what the kernel has laid out; it stays there for good.
    let args = unsafe { Args::new(*stack, stack.add(1).cast::<*const c_char>()) };
    calls::exit(crate::main(&args))
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    calls::complain(&[b"tapit-monitor: a bug in this program has been met\n"]);
    calls::exit(PANICKED)
}

/// The compiled core library names it in its tables for unwinding. Nothing here unwinds, so it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    calls::exit(PANICKED)
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: as the caller has promised.
    unsafe { copy_up(to.cast(), from.cast(), len) };
    to
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void {
    // SAFETY: as the caller has promised. Copying from the end when `to` lies behind `from` reads each byte before it
    // is written over. A volatile access keeps the compiler from making a call of this function out of the loop.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= len {
            copy_up(to.cast(), from.cast(), len);
        } else {
            let (to, from) = (to.cast::<u8>(), from.cast::<u8>());
            for at in (0..len).rev() {
                to.add(at).write_volatile(from.add(at).read_volatile());
            }
        }
    }
    to
}

/// # Safety
/// `len` bytes can be read and written, and what is written does not lie behind the beginning of what is read.
unsafe fn copy_up(to: *mut u8, from: *const u8, len: usize) {
    for at in 0..len {
        // SAFETY: as the caller has promised.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) }
    }
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut c_void, byte: i32, len: usize) -> *mut c_void {
    for at in 0..len {
        // SAFETY: as the caller has promised.
        unsafe { to.cast::<u8>().add(at).write_volatile(byte as u8) }
    }
    to
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const c_void, other: *const c_void, len: usize) -> i32 {
    for at in 0..len {
        // SAFETY: as the caller has promised.
        let (a, b) = unsafe { (one.cast::<u8>().add(at).read_volatile(), other.cast::<u8>().add(at).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const c_void, other: *const c_void, len: usize) -> i32 {
    // SAFETY: as the caller has promised.
    unsafe { memcmp(one, other, len) }
}

/// # Safety
/// As for C's function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut len = 0;
    // SAFETY: the caller has promised a NUL, and nothing behind it is read.
    while unsafe { text.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}
