//! Server ids: what Java holds instead of a pointer.
//!
//! An id is a slot and the slot's generation, so that an id whose server is gone never names another server.

use httpkit_engine::Server;
use parking_lot::Mutex;

/// The servers of the process.
pub(crate) static SERVERS: Table<Server> = Table::new();

/// Values by generational id. Ids are positive and unique for as long as 2^31 values have not passed through one slot.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Mutex<Vec<Slot<T>>>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T: Clone> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Mutex::new(Vec::new()) }
    }

    /// Puts a value in and returns its id.
    pub(crate) fn insert(&self, value: T) -> i64 {
        let mut slots = self.slots.lock();
        let free = slots.iter().position(|slot| slot.value.is_none());
        let index = free.unwrap_or_else(|| {
            slots.push(Slot { generation: 0, value: None });
            slots.len() - 1
        });
        let slot = &mut slots[index];
        // From 1, so that 0 is never an id; 31 bits, so that an id is never negative.
        slot.generation = slot.generation % 0x7FFF_FFFF + 1;
        slot.value = Some(value);
        i64::from(slot.generation) << 32 | i64::from(index as u32)
    }

    /// The value of an id, `None` if it has been removed.
    pub(crate) fn get(&self, id: i64) -> Option<T> {
        let slots = self.slots.lock();
        let slot = slots.get(index(id)).filter(|slot| slot.generation == generation(id))?;
        slot.value.clone()
    }

    /// Takes the value of an id out.
    pub(crate) fn remove(&self, id: i64) -> Option<T> {
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(index(id)).filter(|slot| slot.generation == generation(id))?;
        slot.value.take()
    }
}

fn index(id: i64) -> usize {
    id as u32 as usize
}

fn generation(id: i64) -> u32 {
    (id >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_removed_id_stays_stale_when_its_slot_is_used_again() {
        let table = Table::new();
        let first = table.insert("first");
        let second = table.insert("second");
        assert_eq!((table.get(first), table.get(second)), (Some("first"), Some("second")));
        assert_eq!(table.remove(first), Some("first"));
        assert_eq!((table.get(first), table.remove(first)), (None, None));

        let third = table.insert("third");
        assert_eq!(third as u32, first as u32, "the slot is used again");
        assert_eq!((table.get(first), table.remove(first)), (None, None));
        assert_eq!((table.get(third), table.get(second)), (Some("third"), Some("second")));
    }

    #[test]
    fn ids_never_given_out_are_stale() {
        let table = Table::new();
        assert!(table.insert(()) > 0);
        for id in [0, -1, 1, i64::MAX, i64::MIN, 1 << 32 | 7] {
            assert_eq!(table.get(id), None, "{id}");
        }
    }
}
