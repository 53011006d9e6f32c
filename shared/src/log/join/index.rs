//! Where a session is, by all that it is known by. The keys are hashes that
//! nobody outside can aim at, so the place of a key is the key itself: open
//! addressing with linear probing. At most half of the places are taken, of a
//! few at most an eighth, for then a key is nearly always found at once.

/// Places at least.
const LEAST: usize = 64;
/// Up to so many places most are left free.
const FEW: usize = 8192;
/// The slot that stands for none.
const FREE: u32 = u32::MAX;

/// Keys and the slots they stand for.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as a power of two, or none.
    places: Vec<Known>,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    key: u64,
    slot: u32,
}

impl Index {
    /// The slot of a key.
    #[inline]
    pub(super) fn get(&self, key: u64) -> Option<u32> {
        let mask = self.mask();
        let mut at = key as usize & mask;
        loop {
            let known = self.places.get(at)?;
            if known.slot == FREE {
                return None;
            }
            if known.key == key {
                return Some(known.slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Lets a key stand for a slot, whatever it stood for.
    pub(super) fn insert(&mut self, key: u64, slot: u32) {
        let share = if self.places.len() < FEW { 8 } else { 2 };
        if share * (self.taken + 1) > self.places.len() {
            self.grow();
        }
        let at = self.search(key);
        self.taken += usize::from(self.places[at].slot == FREE);
        self.places[at] = Known { key, slot };
    }

    /// Forgets a key, if it stands for `slot`.
    pub(super) fn remove(&mut self, key: u64, slot: u32) {
        if self.get(key) != Some(slot) {
            return;
        }
        let mask = self.mask();
        let mut gap = self.search(key);
        // Those behind move up, as far as they may without passing their own
        // place, so that no search ends before them.
        let mut at = (gap + 1) & mask;
        while self.places[at].slot != FREE {
            let from_home = at.wrapping_sub(self.places[at].key as usize) & mask;
            if from_home >= at.wrapping_sub(gap) & mask {
                self.places[gap] = self.places[at];
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.places[gap].slot = FREE;
        self.taken -= 1;
    }

    /// Where a key is, or would be.
    #[inline]
    fn search(&self, key: u64) -> usize {
        let mask = self.mask();
        let mut at = key as usize & mask;
        while self.places[at].slot != FREE && self.places[at].key != key {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn grow(&mut self) {
        let length = (2 * self.places.len()).max(LEAST);
        let old = std::mem::replace(&mut self.places, vec![Known { key: 0, slot: FREE }; length]);
        for known in old.into_iter().filter(|known| known.slot != FREE) {
            let at = self.search(known.key);
            self.places[at] = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few keys with equal places, so that they get into each other's way.
        #[test]
        fn it_knows_what_a_map_knows(
            steps in proptest::collection::vec((0..40_u64, 0..3_u64, any::<bool>(), 0..4_u32), 0..400)
        ) {
            let (mut index, mut map) = (Index::default(), HashMap::new());
            for (place, round, inserts, slot) in steps {
                let key = place.wrapping_sub(20).wrapping_add(round * 4096);
                if inserts {
                    index.insert(key, slot);
                    map.insert(key, slot);
                } else {
                    index.remove(key, slot);
                    if map.get(&key) == Some(&slot) {
                        map.remove(&key);
                    }
                }
                prop_assert_eq!(index.taken, map.len());
                prop_assert!(2 * index.taken <= index.places.len());
                for place in 0..40_u64 {
                    for round in 0..3 {
                        let key = place.wrapping_sub(20).wrapping_add(round * 4096);
                        prop_assert_eq!(index.get(key), map.get(&key).copied());
                    }
                }
            }
        }
    }
}
