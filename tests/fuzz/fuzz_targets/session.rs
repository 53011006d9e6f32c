//! See `pptp_fuzz::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::session(data));
