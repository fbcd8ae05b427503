//! From the integers that a plugin holds to the tensors that the host holds.

use std::sync::atomic::{AtomicU32, Ordering};

use burn::backend::DispatchTensor;
use sextant_plugin_api::abi::Handle;

use super::fault::Fault;
use super::operations::Spec;
use super::plan::MAX_ELEMENTS;

/// Tensors that one step may hold at once.
pub(super) const QUOTA: usize = 65_536;

/// The next generation, of any table: a handle of one table is never valid in another, nor in a later step.
/// It wraps after four billion handles, far beyond the life of any handle that is still held.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A tensor with what is known of it.
///
/// There is no burn tensor where there are no elements: backends differ in what they make of those. A rank of 0 is
/// stored as `[1]`, burn's smallest.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// Element type and shape, as the plugin sees them.
    pub spec: Spec,
    /// None if and only if there are no elements.
    pub tensor: Option<DispatchTensor>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    value: Option<Value>,
}

impl Slot {
    fn gave(&self, handle: Handle) -> bool {
        u64::from(self.generation) == handle >> 32
    }
}

/// The live tensors of one instance. Emptied after each step; slots are used again, generations are not.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Table {
    /// Refuses tensors that cannot be taken in; to be asked before they are computed.
    pub fn has_room_for(&self, specs: &[Spec]) -> Result<(), Fault> {
        if let Some(spec) = specs.iter().find(|spec| spec.elements() > MAX_ELEMENTS) {
            return Err(Fault::LargeResult(spec.clone()));
        }
        match self.free.len() + (QUOTA - self.slots.len()) < specs.len() {
            true => Err(Fault::Full),
            false => Ok(()),
        }
    }

    /// Takes a tensor in.
    pub fn insert(&mut self, value: Value) -> Result<Handle, Fault> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() >= QUOTA => return Err(Fault::Full),
            None => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
        };
        let generation = loop {
            // 0 would let slot 0 give handle 0, which means no tensor.
            match GENERATION.fetch_add(1, Ordering::Relaxed) {
                0 => continue,
                generation => break generation,
            }
        };
        let value = Some(value);
        self.slots[slot as usize] = Slot { generation, value };
        Ok(u64::from(generation) << 32 | u64::from(slot))
    }

    /// The tensor, which stays.
    pub fn get(&self, handle: Handle) -> Result<&Value, Fault> {
        let slot = self.slots.get(handle as u32 as usize);
        let value = slot
            .filter(|slot| slot.gave(handle))
            .and_then(|slot| slot.value.as_ref());
        value.ok_or(Fault::Dead { handle })
    }

    /// The tensor, which leaves.
    pub fn take(&mut self, handle: Handle) -> Result<Value, Fault> {
        let slot = self.slots.get_mut(handle as u32 as usize);
        let value = slot.filter(|slot| slot.gave(handle)).and_then(|slot| slot.value.take());
        let value = value.ok_or(Fault::Dead { handle })?;
        self.free.push(handle as u32);
        Ok(value)
    }

    /// Drops every tensor; all handles are dead.
    pub fn clear(&mut self) {
        self.free.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.value = None;
            self.free.push(index as u32);
        }
    }

    /// Places for tensors, in use or not.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Tensors alive.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.value.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_plugin_api::abi::DType;

    fn value(extent: usize) -> Value {
        Value {
            spec: Spec::new(DType::F32, vec![extent, 0]),
            tensor: None,
        }
    }

    #[test]
    fn should_find_what_it_took_in_until_it_leaves() {
        let mut table = Table::default();
        let (a, b) = (table.insert(value(1)).unwrap(), table.insert(value(2)).unwrap());
        assert_eq!(table.get(a).unwrap().spec.shape, [1, 0]);
        assert_eq!(table.take(b).unwrap().spec.shape, [2, 0]);
        assert!(table.take(b).is_err() && table.get(b).is_err());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn should_use_slots_again_but_never_a_handle() {
        let mut table = Table::default();
        let old = table.insert(value(1)).unwrap();
        table.clear();
        let new = table.insert(value(2)).unwrap();
        assert_eq!(old as u32, new as u32);
        assert_ne!(old, new);
        assert!(table.get(old).is_err());
        assert_eq!(table.get(new).unwrap().spec.shape, [2, 0]);
    }

    #[test]
    fn should_refuse_handles_of_another_table_and_forged_ones() {
        let (mut ours, mut theirs) = (Table::default(), Table::default());
        let foreign = theirs.insert(value(1)).unwrap();
        let own = ours.insert(value(1)).unwrap();
        assert!(ours.get(foreign).is_err());
        for forged in [0, 1, own + 1, own ^ (1 << 32), u64::MAX, own & 0xffff_ffff] {
            let error = ours.get(forged).unwrap_err().to_string();
            assert!(error.contains(&format!("{forged:#x}")), "{error}");
        }
    }

    #[test]
    fn should_stop_at_the_quota() {
        let mut table = Table::default();
        for _ in 0..QUOTA {
            table.insert(value(1)).unwrap();
        }
        let error = table.insert(value(1)).unwrap_err().to_string();
        assert!(error.contains(&QUOTA.to_string()), "{error}");
        table.clear();
        table.insert(value(1)).unwrap();
    }
}
