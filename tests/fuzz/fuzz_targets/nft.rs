//! See `pptp_fuzz::nft`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::nft(data));
