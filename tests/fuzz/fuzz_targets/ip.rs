//! See `pptp_fuzz::ip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::ip(data));
