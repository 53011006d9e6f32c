//! Giving up rights. A check needs CAP_NET_RAW for one call of `socket`, and
//! nothing afterwards: not to resolve a name, nor to read a peer's octets.

use rustix::io::Result;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

/// Drops every capability of the calling thread and forbids to gain any by
/// `execve`. Call it before another thread exists. The user id stays.
///
/// # Errors
/// The kernel's, which means that nothing may be taken for granted.
pub fn drop_all() -> Result<()> {
    set_no_new_privs(true)?;
    // Kernels before 4.3 have no ambient set; then there is nothing to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
