//! Objects that were read whole because their server does not answer requests for ranges.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use lru::LruCache;
use object_store::path::Path;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::sleep;

use super::answer::Seen;
use crate::runtime::lock;
use crate::store::ByteRange;
use crate::store::clipped;

/// How long an object stays in memory after its last use.
const IDLE: Duration = Duration::from_secs(30);

/// A whole object.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) seen: Seen,
    pub(super) bytes: Vec<u8>,
}

impl Whole {
    /// Returns the part of a range that is inside the object.
    pub(super) fn part(&self, range: ByteRange) -> Vec<u8> {
        let (offset, length) = clipped(range, self.bytes.len() as u64);
        self.bytes[offset as usize..][..length as usize].to_vec()
    }
}

/// Where an object is kept. The lock is held while it is read, so that it is read once.
pub(super) type Slot = AsyncMutex<Option<Arc<Whole>>>;

/// The whole objects of a client.
#[derive(Debug)]
pub(super) struct Wholes {
    slots: Mutex<LruCache<Path, (Arc<Slot>, Instant)>>,
}

impl Default for Wholes {
    fn default() -> Self {
        Self { slots: Mutex::new(LruCache::unbounded()) }
    }
}

impl Wholes {
    /// Returns the slot of an object if one is there.
    pub(super) fn find(&self, path: &Path) -> Option<Arc<Slot>> {
        lock(&self.slots).get(path).map(|(slot, _)| slot.clone())
    }

    /// Returns the slot of an object, which is removed some time after its last use.
    pub(super) fn slot(self: &Arc<Self>, path: &Path) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some((slot, used)) = slots.get_mut(path) {
            *used = Instant::now();
            return slot.clone();
        }
        let slot = Arc::<Slot>::default();
        slots.put(path.clone(), (slot.clone(), Instant::now()));
        tokio::spawn(expire(Arc::downgrade(self), path.clone()));
        slot
    }

    /// Removes the objects used least recently until all others have at most `limit` bytes.
    pub(super) fn shrink(&self, limit: u64) {
        let mut slots = lock(&self.slots);
        let size =
            |slot: &Arc<Slot>| slot.try_lock().map_or(0, |whole| whole.as_ref().map_or(0, |w| w.bytes.len() as u64));
        let mut total: u64 = slots.iter().map(|(_, (slot, _))| size(slot)).sum();
        while total > limit
            && let Some((_, (slot, _))) = slots.pop_lru()
        {
            total -= size(&slot).min(total);
        }
    }
}

async fn expire(wholes: Weak<Wholes>, path: Path) {
    let mut pause = IDLE;
    loop {
        sleep(pause).await;
        let Some(wholes) = wholes.upgrade() else { return };
        let mut slots = lock(&wholes.slots);
        let Some((_, used)) = slots.peek(&path) else { return };
        let idle = used.elapsed();
        if idle >= IDLE {
            slots.pop(&path);
            return;
        }
        pause = IDLE.saturating_sub(idle);
    }
}
