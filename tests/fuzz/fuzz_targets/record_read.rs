//! Any file is read as a recording to its end, and verified, without trust in what it says.
#![no_main]

use portcullis::record::{Recording, verify::verify_file};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("portcullis-fuzz-{}.rec", std::process::id()));
    std::fs::write(&path, bytes).expect("a writable temporary directory");
    let _ = Recording::open(&path).map(|recording| recording.entries().count());
    let _ = verify_file(&path);
});
