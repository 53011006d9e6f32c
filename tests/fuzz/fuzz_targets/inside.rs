//! See `pptp_fuzz::inside`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::inside(data));
