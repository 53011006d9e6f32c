//! Chance for faults that strike at random: from a seed, so that the same seed
//! makes the same losses. No secret is made of it.

/// Numbers from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Begins anew; equal seeds give equal numbers.
    pub fn new(seed: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(seed))
    }

    /// The next number, of 64 even bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ number >> 31
    }

    /// A number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: u64) -> u64 {
        self.number() % most.saturating_add(1)
    }

    /// True in so many of a hundred cases.
    pub fn strikes(&mut self, percent: u8) -> bool {
        self.up_to(99) < u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the algorithm's reference implementation for seed 0.
    #[test]
    fn numbers_are_those_of_the_algorithm() {
        let mut chance = Chance::new([0; 8]);
        let first = [chance.number(), chance.number(), chance.number()];
        assert_eq!(first, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }

    #[test]
    fn shares_are_about_right_and_the_ends_exact() {
        let mut chance = Chance::new([7; 8]);
        let mut struck = |percent| (0..10_000).filter(|_| chance.strikes(percent)).count();
        assert_eq!((struck(0), struck(100)), (0, 10_000));
        assert!((900..1_100).contains(&struck(10)));
        assert!((0..1_000).all(|_| chance.up_to(3) <= 3));
    }
}
