//! Random numbers from the kernel.

/// Fills an array with random octets.
///
/// # Errors
/// When the kernel has none to give, as one sentence.
pub fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(octets)
}

/// Random octets for many requests, fetched from the kernel by the page.
#[derive(Debug)]
pub struct Pool {
    octets: Box<[u8; 1024]>,
    used: usize,
}

impl Pool {
    /// A full pool.
    ///
    /// # Errors
    /// When the kernel has none to give, as one sentence.
    pub fn new() -> Result<Self, String> {
        Ok(Self { octets: Box::new(random()?), used: 0 })
    }

    /// The next octets; each is given once.
    pub fn take(&mut self) -> [u8; 16] {
        if self.used == self.octets.len() {
            match random() {
                Ok(octets) => *self.octets = octets,
                // It had some when the pool was made; the kernel does not take
                // that back. Whatever happens, none is given twice.
                Err(_) => std::process::abort(),
            }
            self.used = 0;
        }
        let mut taken = [0; 16];
        taken.copy_from_slice(&self.octets[self.used..self.used + 16]);
        self.used += 16;
        taken
    }
}
