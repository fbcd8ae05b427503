//! Memory that the system does not give: a message and exit code 1, where Rust would end the process by SIGABRT.
//!
//! Nothing between a network's product and the allocator can answer "no": neither burn nor `Vec` returns an error. So the allocator
//! itself says what was asked for, and ends the process. Files appear whole or not at all, so whatever was written stays good, and
//! the command that goes on after a kill goes on after this.

// The one module of this crate that may: a global allocator is an unsafe trait.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sextant_interrupt as interrupt;
use sextant_train::memory::{Gigabytes, resident_bytes, tell_expected};

/// The exit code of work that failed.
const EXIT_CODE: u8 = 1;

#[global_allocator]
static ALLOCATOR: Reporting = Reporting;

/// The system's allocator, which ends the process where that has nothing left.
struct Reporting;

// SAFETY: every call goes to the system's allocator with the arguments that it came with, and what that answers is answered. So the
// contract of `GlobalAlloc` holds as it does there. Nothing here unwinds or allocates: `refused` writes into a buffer on the stack.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises on `layout` are the same.
        given(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `memory` came from here, and so from the system's allocator, with this layout.
        given(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Memory that the system gave. A caller that can do without, such as `Vec::try_reserve`, is not asked: none of ours can.
#[inline]
fn given(memory: *mut u8, asked: usize) -> *mut u8 {
    if memory.is_null() {
        refused(asked);
    }
    memory
}

/// Says what was not given, and ends the process.
#[cold]
fn refused(asked: usize) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::SeqCst) {
        // Another thread is saying it, and ends this one too.
        std::thread::sleep(Duration::from_secs(5));
        return;
    }
    let mut message = Message::default();
    // What does not fit is left out.
    let _ = describe(&mut message, asked, resident_bytes());
    let _ = std::io::stderr().write_all(message.bytes());
    interrupt::end(EXIT_CODE);
}

fn describe(message: &mut Message, asked: usize, held: Option<u64>) -> fmt::Result {
    let in_words = Gigabytes(asked as u64);
    write!(
        message,
        "error: out of memory: {asked} bytes ({in_words}) were asked for and are not there"
    )?;
    if let Some(held) = held {
        write!(message, "; {} are held", Gigabytes(held))?;
    }
    let mut told = Ok(());
    tell_expected(|expected| told = write!(message, "; {expected}; see `sextant plan`"));
    told?;
    writeln!(
        message,
        ". Files that were written are whole: `sextant train --resume RUN`, or the same compare, sweep or eval, goes on from them"
    )
}

/// Text on the stack, cut where it is full.
struct Message {
    buffer: [u8; 2048],
    length: usize,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            buffer: [0; 2048],
            length: 0,
        }
    }
}

impl Message {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = &mut self.buffer[self.length..];
        let count = text.len().min(free.len());
        free[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        if count == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_train::memory::expect;

    fn said(asked: usize, held: Option<u64>) -> String {
        let mut message = Message::default();
        let _ = describe(&mut message, asked, held);
        String::from_utf8_lossy(message.bytes()).into_owned()
    }

    // One test, since what is expected is the process's.
    #[test]
    fn the_message_says_what_was_asked_for_and_expected_and_is_cut_at_its_end() {
        let short = said(5_000_000_000, Some(2_310_000_000));
        assert!(
            short.starts_with("error: out of memory: 5000000000 bytes (5.00 GB) were asked for"),
            "{short}"
        );
        assert!(short.contains("; 2.31 GB are held. Files"), "{short}");
        assert!(!said(1, None).contains("held"));
        expect(Some("phase \"train\": a step needs 9 GB".into()));
        let planned = said(1, None);
        assert!(
            planned.contains("; phase \"train\": a step needs 9 GB; see `sextant plan`. Files"),
            "{planned}"
        );
        expect(Some("x".repeat(5000)));
        assert_eq!(said(1, None).len(), 2048);
        expect(None);
        assert!(!said(1, None).contains("plan"));
    }

    #[test]
    fn memory_that_is_there_is_given() {
        let zeros = vec![0u8; 1 << 20];
        let mut grown = vec![1u8; 3];
        grown.resize(1 << 20, 2);
        assert!(zeros.iter().all(|byte| *byte == 0) && grown[2] == 1 && grown[3] == 2);
    }
}
