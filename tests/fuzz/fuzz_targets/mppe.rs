//! See `pptp_fuzz::mppe`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::mppe(data));
