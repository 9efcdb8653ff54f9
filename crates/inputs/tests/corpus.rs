//! Every input of `fuzz/corpus` passes the check of its kind. One test, because allocations are counted
//! for the whole process.
#![allow(clippy::unwrap_used)]

use inputs::TARGETS;
use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

/// Nobody is to lose most of it unnoticed.
const INPUTS_MIN: usize = 500;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder)
}

/// The names of what is in a folder, without their extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_input_of_the_corpus_passes_within_its_memory() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz("corpus")), targets, "each kind has inputs");
    assert_eq!(names(&fuzz("fuzz_targets")), targets, "each kind has a program that searches");
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, check) in TARGETS {
        for entry in fs::read_dir(fuzz("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            match catch_unwind(|| check(&input)) {
                Ok(()) => passed += 1,
                Err(_) => failed.push(path),
            }
        }
    }
    assert_eq!(failed, [""; 0].map(PathBuf::from), "see their panics above");
    assert!(passed >= INPUTS_MIN, "{passed} inputs");
}
