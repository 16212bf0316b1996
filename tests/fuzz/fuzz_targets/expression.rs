//! See `expression` in the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hardway_fuzz::expression(data));
