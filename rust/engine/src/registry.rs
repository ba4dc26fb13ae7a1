//! Every open connection by a generational id: a stale id finds nothing, never another connection.

use std::sync::Arc;

use once_cell::sync::Lazy;
use parking_lot::RwLock;

use crate::connection::Connection;

/// Shards keep threads that answer on different connections out of each other's way.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    connection: Option<Arc<Connection>>,
}

static TABLE: Lazy<[RwLock<Shard>; SHARDS]> = Lazy::new(|| std::array::from_fn(|_| RwLock::new(Shard::default())));

/// Enters a connection that is made with the id it is given.
pub(crate) fn insert(shard_hint: u32, make: impl FnOnce(u64) -> Arc<Connection>) -> Arc<Connection> {
    let number = shard_hint as usize % SHARDS;
    let mut shard = TABLE[number].write();
    let index = shard.free.pop().unwrap_or_else(|| {
        shard.slots.push(Slot { generation: 0, connection: None });
        (shard.slots.len() - 1) as u32
    });
    let slot = &mut shard.slots[index as usize];
    slot.generation = slot.generation.wrapping_add(1);
    let id = u64::from(slot.generation) << 32 | u64::from(index) << 4 | number as u64;
    let connection = make(id);
    slot.connection = Some(Arc::clone(&connection));
    connection
}

/// Forgets a connection. The id finds nothing from now on.
pub(crate) fn remove(id: u64) {
    let (number, index, generation) = split(id);
    let mut shard = TABLE[number].write();
    if let Some(slot) = shard.slots.get_mut(index) {
        if slot.generation == generation && slot.connection.take().is_some() {
            shard.free.push(index as u32);
        }
    }
}

/// The connection of that id, if it is still open.
pub(crate) fn get(id: u64) -> Option<Arc<Connection>> {
    let (number, index, generation) = split(id);
    let shard = TABLE[number].read();
    let slot = shard.slots.get(index)?;
    if slot.generation == generation { slot.connection.clone() } else { None }
}

/// The connections for which `wanted` is true. `wanted` runs under a lock: it must be quick and take none.
pub(crate) fn collect(wanted: impl Fn(&Connection) -> bool) -> Vec<Arc<Connection>> {
    let mut found = Vec::new();
    for shard in TABLE.iter() {
        let shard = shard.read();
        found.extend(
            shard.slots.iter().filter_map(|slot| slot.connection.as_ref()).filter(|connection| wanted(connection)).cloned(),
        );
    }
    found
}

fn split(id: u64) -> (usize, usize, u32) {
    (id as usize % SHARDS, (id & 0xffff_ffff) as usize >> 4, (id >> 32) as u32)
}
