//! See `pptp_fuzz::gre`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::gre(data));
