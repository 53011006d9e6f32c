//! See `pptp_fuzz::pap`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::pap(data));
