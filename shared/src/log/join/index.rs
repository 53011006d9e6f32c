//! Where a session is, by all that it is known by. The keys are hashes that
//! nobody outside can aim at, so the place of a key is the key itself: open
//! addressing with linear probing, at most half full.

/// Places at least.
const LEAST: usize = 64;

/// Keys and the slots they stand for.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as a power of two, or none.
    places: Vec<Option<Known>>,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    key: u64,
    slot: usize,
}

impl Index {
    /// The slot of a key.
    #[inline]
    pub(super) fn get(&self, key: u64) -> Option<usize> {
        let at = self.search(key)?;
        self.places[at].map(|known| known.slot)
    }

    /// Lets a key stand for a slot, whatever it stood for.
    pub(super) fn insert(&mut self, key: u64, slot: usize) {
        if 2 * (self.taken + 1) > self.places.len() {
            self.grow();
        }
        let mut at = self.home(key);
        while let Some(known) = &mut self.places[at] {
            if known.key == key {
                known.slot = slot;
                return;
            }
            at = self.behind(at);
        }
        self.places[at] = Some(Known { key, slot });
        self.taken += 1;
    }

    /// Forgets a key, if it stands for `slot`.
    pub(super) fn remove(&mut self, key: u64, slot: usize) {
        let Some(mut gap) = self.search(key) else { return };
        if self.places[gap].is_none_or(|known| known.slot != slot) {
            return;
        }
        // Those behind move up, as far as they may without passing their own
        // place, so that no search ends before them.
        let mut at = self.behind(gap);
        while let Some(known) = self.places[at] {
            let from_home = at.wrapping_sub(self.home(known.key));
            let from_gap = at.wrapping_sub(gap);
            if from_home & self.mask() >= from_gap & self.mask() {
                self.places[gap] = Some(known);
                gap = at;
            }
            at = self.behind(at);
        }
        self.places[gap] = None;
        self.taken -= 1;
    }

    /// Where a key is.
    #[inline]
    fn search(&self, key: u64) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(key);
        while self.places[at]?.key != key {
            at = self.behind(at);
        }
        Some(at)
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    /// Where a key is unless others were there before.
    #[inline]
    fn home(&self, key: u64) -> usize {
        key as usize & self.mask()
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn grow(&mut self) {
        let places = vec![None; (2 * self.places.len()).max(LEAST)];
        let old = std::mem::replace(&mut self.places, places);
        self.taken = 0;
        for known in old.into_iter().flatten() {
            self.insert(known.key, known.slot);
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
            steps in proptest::collection::vec((0..40_u64, 0..3_u64, any::<bool>(), 0..4_usize), 0..400)
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
