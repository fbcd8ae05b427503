//! Answers of a callback: a status, and a message that the host gives back to be freed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::memory;
use crate::Error;
use crate::abi::{FAILED, Message, OK, Status, Text};
use crate::tensor::sized;

/// Runs a callback's body. An error or a panic becomes a message and [`FAILED`].
///
/// # Safety
/// `message` must be null or point to a message whose `size` is set.
pub(super) unsafe fn guarded(message: *mut Message, body: impl FnOnce() -> Result<(), Error>) -> Status {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(error)) => error,
        Err(payload) => Error::new(format!("panicked: {}", panic_text(payload))),
    };
    // SAFETY: the caller's promise.
    unsafe { tell(message, error) };
    FAILED
}

/// The words of a panic.
pub(super) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "with something that is not text".to_owned(),
        },
    };
    // A payload's own drop may panic again, here of all places: it is leaked instead.
    std::mem::forget(payload);
    text
}

unsafe fn tell(message: *mut Message, error: Error) {
    if message.is_null() {
        return;
    }
    let owner = Box::into_raw(Box::new(error.to_string()));
    // SAFETY: `owner` was made by `Box::into_raw` in the line above and nobody else has it yet.
    let written = unsafe { &*owner };
    let value = sized!(Message {
        text: Text::of(written),
        owner: owner.cast(),
        release: Some(release),
    });
    // SAFETY: `message` is not null, and the caller promises its size.
    let _ = unsafe { memory::write(message, &value, "message") };
}

/// Frees a text of ours. `[any thread, once]`
unsafe extern "C" fn release(message: *mut Message) {
    if message.is_null() {
        return;
    }
    // SAFETY: the host passes back the message that `tell` filled; its owner is the box of that call, and
    // is cleared so that a second call finds nothing.
    unsafe {
        let owner = ptr::replace(&raw mut (*message).owner, ptr::null_mut());
        if !owner.is_null() {
            drop(Box::from_raw(owner.cast::<String>()));
        }
    }
}
