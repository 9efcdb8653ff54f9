//! A disk that keeps what was synced: plays a journal of what was done to files, and says what is in
//! them after a power cut.

use std::{collections::HashMap, fs, path::Path};

/// A step of the journal, about one file.
pub enum Step {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        length: usize,
    },
    SyncBegan {
        number: u64,
    },
    SyncEnded {
        number: u64,
    },
    Deleted,
    /// The process promised this to somebody.
    Acknowledged(String),
}

/// What the shim wrote.
pub fn journal(path: &Path) -> Vec<(char, Step)> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut steps = Vec::new();
    while let Some((head, tail)) = rest.split_at_checked(18) {
        let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let (operation, file, one, two) = (head[0], head[1] as char, number(2), number(10));
        rest = tail;
        let step = match operation {
            b'W' => {
                let (bytes, tail) = tail.split_at(two as usize);
                rest = tail;
                match file {
                    'a' => Step::Acknowledged(String::from_utf8(bytes.to_vec()).unwrap()),
                    _ => Step::Write { at: one as usize, bytes: bytes.to_vec() },
                }
            }
            b'T' => Step::Truncate { length: one as usize },
            b'B' => Step::SyncBegan { number: one },
            b'E' => Step::SyncEnded { number: one },
            b'U' => Step::Deleted,
            other => panic!("an unknown step {other}"),
        };
        steps.push((file, step));
    }
    steps
}

/// The content of each file, as of some step.
#[derive(Default)]
pub struct Disk<'a> {
    files: HashMap<char, File<'a>>,
    /// How many of its file's changes each sync under way covers.
    syncing: HashMap<u64, usize>,
}

#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    /// In order; the drive may have any of them.
    unsynced: Vec<&'a Step>,
    /// How many were dropped from the front of `unsynced`.
    dropped: usize,
}

impl<'a> Disk<'a> {
    pub fn play(&mut self, file: char, step: &'a Step) {
        let of = self.files.entry(file).or_default();
        match step {
            Step::Write { .. } | Step::Truncate { .. } => of.unsynced.push(step),
            Step::SyncBegan { number } => {
                self.syncing.insert(*number, of.dropped + of.unsynced.len());
            }
            Step::SyncEnded { number } => {
                let covered = self.syncing.remove(number).unwrap().saturating_sub(of.dropped);
                for step in of.unsynced.drain(..covered) {
                    apply(&mut of.synced, step);
                }
                of.dropped += covered;
            }
            Step::Deleted => {
                self.files.remove(&file);
            }
            Step::Acknowledged(_) => {}
        }
    }

    /// What is in the files after a cut. `chance` says how a change fares that was not synced: so
    /// many of its sectors arrive, of as many as there are.
    pub fn after_a_cut(&self, mut chance: impl FnMut(usize) -> usize) -> Vec<(char, Vec<u8>)> {
        let content = |(name, file): (&char, &File<'_>)| {
            let mut bytes = file.synced.clone();
            for step in &file.unsynced {
                match step {
                    Step::Write { at, bytes: all } => {
                        let sectors = chance(all.len().div_ceil(SECTOR));
                        let some = all[..all.len().min(sectors * SECTOR)].to_vec();
                        apply(&mut bytes, &Step::Write { at: *at, bytes: some });
                    }
                    step if chance(1) == 1 => apply(&mut bytes, step),
                    _ => {}
                }
            }
            (*name, bytes)
        };
        self.files.iter().filter(|(name, _)| **name != 'a').map(content).collect()
    }
}

const SECTOR: usize = 512;

fn apply(content: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write { at, bytes } if !bytes.is_empty() => {
            let end = at + bytes.len();
            content.resize(content.len().max(end), 0);
            content[*at..end].copy_from_slice(bytes);
        }
        Step::Truncate { length } => content.resize(*length, 0),
        _ => {}
    }
}
