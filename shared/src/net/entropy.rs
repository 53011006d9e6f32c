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
