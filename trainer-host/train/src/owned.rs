//! A value that has one owner while it is changed.

use std::ops::Deref;

/// A value that can be moved out of its place, changed and put back. A copy of a module shares its tensors, and what is shared is
/// never written in place: so a step moves what it changes.
#[derive(Debug)]
pub struct Owned<T>(Option<T>);

impl<T> Owned<T> {
    /// Keeps a value.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Replaces the value by what `change` makes of it. After a panic in there nobody may look at it any more.
    pub fn change(&mut self, change: impl FnOnce(T) -> T) {
        self.0 = self.0.take().map(change);
    }

    /// The value.
    ///
    /// # Panics
    /// As [`Deref`] does.
    pub fn into_inner(self) -> T {
        self.0.expect(LOST)
    }
}

const LOST: &str = "a value was lost in a change that panicked";

impl<T> Deref for Owned<T> {
    type Target = T;

    /// # Panics
    /// If an earlier [`Owned::change`] has panicked.
    fn deref(&self) -> &T {
        self.0.as_ref().expect(LOST)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn should_be_the_only_owner_of_what_it_changes() {
        let mut value = Owned::new(Rc::new(1));
        value.change(|mut value| {
            *Rc::get_mut(&mut value).unwrap() += 1;
            value
        });
        assert_eq!(**value, 2);
        assert_eq!(*value.into_inner(), 2);
    }
}
