//! A power cut at any moment loses nothing that was acknowledged, and damages nothing.
//!
//! `kill -9` shows nothing about syncs: the kernel keeps what a process wrote. Here a process works a
//! store under a shim that notes each write and each sync. Its journal is played up to a cut: what was
//! not synced by then is gone, or arrives in part, and the store is opened from what is left.
#![allow(clippy::unwrap_used)]

#[path = "power_cut/disk.rs"]
#[allow(unreachable_pub)]
mod disk;
mod support;

use disk::{Disk, Step};
use presence::{End, Event};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use store::*;
use support::*;

/// Set: this process is the one under the shim, and works the store in that folder.
const WORKER: &str = "POWER_CUT_FOLDER";
const JOURNAL: &str = "POWER_CUT_JOURNAL";
const CUTS: usize = 1_000;
/// Of each file, one at a time.
const SYNCS_LEFT_OUT: usize = 50;
const USERS: u64 = 12;
const STEPS: u64 = 60;
/// So often the log is moved into the database, which a small load would never see otherwise.
const ACKS_A_CHECKPOINT: u64 = 40;

#[test]
fn no_acknowledged_commit_is_lost_at_a_thousand_power_cuts() {
    if work_if_told(Sync::Full) {
        return;
    }
    let steps = record("no_acknowledged_commit_is_lost_at_a_thousand_power_cuts");
    let mut random = Random(1);
    let mut cuts: Vec<usize> = (0..CUTS).map(|_| random.below(steps.len())).collect();
    cuts.sort_unstable();
    let mut acknowledged = 0;
    for (number, found) in after_cuts(&steps, &cuts, None, &mut random).enumerate() {
        acknowledged = acknowledged.max(found.acknowledged);
        if let Err(what) = found.verdict {
            panic!("cut {number} after step {} of {}: {what}", found.at, steps.len());
        }
    }
    assert!(acknowledged > 500, "only {acknowledged} were acknowledged: not much of a load");
}

/// A test of the test: without the sync of each commit something is lost, and it is seen.
#[test]
fn commits_that_are_not_synced_are_seen_to_be_lost() {
    if work_if_told(Sync::Normal) {
        return;
    }
    let steps = record("commits_that_are_not_synced_are_seen_to_be_lost");
    let mut random = Random(2);
    let mut cuts: Vec<usize> = (0..50).map(|_| random.below(steps.len())).collect();
    cuts.sort_unstable();
    let lost = after_cuts(&steps, &cuts, None, &mut random).filter(|found| found.verdict.is_err());
    assert!(lost.count() > 10, "synchronous = NORMAL passes as if each commit were synced");
}

/// Another: one sync that is left out is missed, of the log and of the database.
///
/// Not each: one may cover nothing that was acknowledged yet, or pages that the log still holds, because
/// a reader kept the checkpoint from its end. How many are of that kind is up to the machine's threads.
#[test]
fn a_single_sync_that_is_left_out_is_seen() {
    if work_if_told(Sync::Full) {
        return;
    }
    let steps = record("a_single_sync_that_is_left_out_is_seen");
    for file in ['w', 'd'] {
        let of_file = |(at, (name, step)): (usize, &(char, Step))| match step {
            Step::SyncEnded { number } if *name == file => Some((at, *number)),
            _ => None,
        };
        let syncs: Vec<_> = steps.iter().enumerate().filter_map(of_file).collect();
        assert!(syncs.len() > 5, "{file} was hardly ever synced");
        let (mut seen, mut all) = (0, 0);
        let chosen = (1..syncs.len() - 1).step_by((syncs.len() / SYNCS_LEFT_OUT).max(1));
        for sync in chosen {
            let (cut, number) = (syncs[sync + 1].0 - 1, syncs[sync].1);
            let (cuts, mut random) = ([cut], Random(0));
            let mut found = after_cuts(&steps, &cuts, Some(number), &mut random);
            all += 1;
            seen += usize::from(found.next().unwrap().verdict.is_err());
        }
        assert!(seen >= 5, "{file}: only {seen} of {all} syncs are missed");
    }
}

/// The store after a cut.
struct Found {
    at: usize,
    acknowledged: usize,
    verdict: Result<(), String>,
}

/// Plays the journal once and stops at each cut, in order. Every second one leaves parts of what was
/// not synced; `without` is a sync that did nothing.
fn after_cuts<'a>(
    steps: &'a [(char, Step)],
    cuts: &'a [usize],
    without: Option<u64>,
    random: &'a mut Random,
) -> impl Iterator<Item = Found> + 'a {
    let mut disk = Disk::default();
    let mut promises = Promises::default();
    let mut played = 0;
    cuts.iter().enumerate().map(move |(number, at)| {
        for (file, step) in &steps[played..=*at] {
            match step {
                Step::Acknowledged(line) => promises.add(line),
                Step::SyncEnded { number } if Some(*number) == without => {}
                step => disk.play(*file, step),
            }
        }
        played = at + 1;
        let is_torn = number % 2 == 1 && without.is_none();
        let files = disk.after_a_cut(|sectors| match is_torn {
            // All, nothing, or the beginning.
            true => [0, sectors, random.below(sectors + 1)][random.below(3)],
            false => 0,
        });
        let verdict = verify(&files, &promises);
        Found { at: *at, acknowledged: promises.count, verdict }
    })
}

/// What was acknowledged.
#[derive(Default)]
struct Promises {
    count: usize,
    /// The version and the `seq` of each user.
    users: HashMap<String, (u64, u64)>,
    /// Callbacks by id, and how they were settled.
    callbacks: HashMap<String, Option<String>>,
}

impl Promises {
    fn add(&mut self, line: &str) {
        self.count += 1;
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        match words[..] {
            ["user", user, version, seq] => {
                let (version, seq) = (version.parse().unwrap(), seq.parse().unwrap());
                self.users.insert(user.to_owned(), (version, seq));
            }
            ["callback", id] => {
                self.callbacks.entry(id.to_owned()).or_default();
            }
            ["settled", id, state] => {
                self.callbacks.insert(id.to_owned(), Some(state.to_owned()));
            }
            _ => panic!("{line}"),
        }
    }
}

/// Opens the store from these files.
fn verify(files: &[(char, Vec<u8>)], promises: &Promises) -> Result<(), String> {
    let folder = memory_folder();
    for (file, content) in files {
        let name = match file {
            'd' => "herald.db",
            'w' => "herald.db-wal",
            _ => "herald.db-journal",
        };
        fs::write(folder.path().join(name), content).unwrap();
    }
    let store = Sqlite::open(folder.path(), Sync::Normal).map_err(|error| format!("{error}"))?;
    let checked = check(folder.path()).map_err(|error| error.to_string())?;
    if let Some(problem) = checked.problems.first() {
        return Err(format!("damaged: {problem:?}"));
    }
    if let Some(row) = checked.set_aside.first() {
        return Err(format!("unreadable: {row:?}"));
    }
    let connection = Connection::open(folder.path().join("herald.db")).unwrap();
    keeps_users(&connection, promises)?;
    keeps_callbacks(&connection, promises)?;
    drop(store);
    Ok(())
}

fn keeps_users(connection: &Connection, promises: &Promises) -> Result<(), String> {
    let mut statement = connection.prepare("SELECT name, version, last_seq FROM users").unwrap();
    let user = |row: &rusqlite::Row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    let found: HashMap<String, (u64, u64)> =
        statement.query_map([], user).unwrap().map(Result::unwrap).collect();
    for (user, (version, seq)) in &promises.users {
        let kept = found.get(user);
        if kept.is_none_or(|kept| kept.0 < *version || kept.1 < *seq) {
            return Err(format!("lost: {user} at version {version}, seq {seq}; found {kept:?}"));
        }
    }
    Ok(())
}

fn keeps_callbacks(connection: &Connection, promises: &Promises) -> Result<(), String> {
    let sql = "SELECT id, endpoint || ':' || seq || ':' || user, 'pending', user, seq FROM outbox
               UNION ALL SELECT id, endpoint || ':' || seq || ':' || user, state, user, seq FROM history
               ORDER BY 1";
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut found, mut newest) = (HashMap::new(), HashMap::new());
    while let Some(row) = rows.next().unwrap() {
        let (id, state): (String, String) = (row.get(1).unwrap(), row.get(2).unwrap());
        let (user, seq): (String, u64) = (row.get(3).unwrap(), row.get(4).unwrap());
        if newest.insert(user, seq).is_some_and(|before| before >= seq) {
            return Err(format!("out of order: {id}"));
        }
        found.insert(id, state);
    }
    for (id, settled) in &promises.callbacks {
        let kept = found.get(id).ok_or_else(|| format!("lost: callback {id}"))?;
        if settled.as_ref().is_some_and(|settled| settled != kept) {
            return Err(format!("lost: callback {id} was {settled:?}, and is {kept}"));
        }
    }
    Ok(())
}

/// Runs this test again as a process under the shim, and reads what it noted.
fn record(test: &str) -> Vec<(char, Step)> {
    // A machine may have little of the memory that is a disk.
    let (folder, notes) = (memory_folder(), tempfile::tempdir().unwrap());
    let journal = notes.path().join("journal");
    let mut worker = Command::new(env::current_exe().unwrap());
    worker.args(["--exact", test, "--nocapture"]).stdout(Stdio::null());
    worker.env("LD_PRELOAD", build_shim(notes.path())).env(JOURNAL, &journal);
    worker.env(WORKER, folder.path().join("data"));
    assert!(worker.status().unwrap().success());
    let steps = disk::journal(&journal);
    assert!(steps.len() > 2 * CUTS, "only {} steps were noted", steps.len());
    steps
}

fn build_shim(folder: &Path) -> PathBuf {
    let (source, shim) = (folder.join("journal.c"), folder.join("journal.so"));
    fs::write(&source, include_str!("power_cut/journal.c")).unwrap();
    let mut compile = Command::new("cc");
    compile
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&shim)
        .arg(&source)
        .args(["-ldl", "-lpthread"]);
    assert!(compile.status().expect("a C compiler is needed to build Herald, too").success());
    shim
}

/// Real syncs take long and show nothing here.
fn memory_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// In the process under the shim: works the store and says what was acknowledged.
fn work_if_told(sync: Sync) -> bool {
    let Some(folder) = env::var_os(WORKER) else { return false };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(work(Path::new(&folder), sync));
    true
}

struct Worker {
    store: Sqlite,
    acked: Mutex<fs::File>,
    acks: AtomicU64,
    checkpoints: Mutex<Connection>,
    clock: AtomicU64,
}

async fn work(folder: &Path, sync: Sync) {
    let store = Sqlite::open(folder, sync).unwrap();
    let acked = fs::File::create(folder.join("acked")).unwrap();
    let checkpoints = Connection::open(folder.join("herald.db")).unwrap();
    let worker = Arc::new(Worker {
        store,
        acked: Mutex::new(acked),
        acks: AtomicU64::new(0),
        checkpoints: Mutex::new(checkpoints),
        clock: AtomicU64::new(1_000),
    });
    let users = (0..USERS).map(|n| tokio::spawn(Arc::clone(&worker).live(format!("u{n}"))));
    let users: Vec<_> = users.collect();
    let mut settled = 0;
    loop {
        let are_done = users.iter().all(tokio::task::JoinHandle::is_finished);
        let claimed = claim(&worker.store).await;
        if are_done && claimed.is_empty() {
            break;
        }
        for callback in claimed {
            settled += 1;
            let (fate, state) = match settled % 7 {
                0 => (Fate::Dead, Some("dead")),
                1 => (Fate::RetryAt { at: presence::Instant(0), counts: true }, None),
                _ => (Fate::Delivered, Some("delivered")),
            };
            worker.store.settle(settlement(&callback, fate)).await.unwrap();
            if let Some(state) = state {
                worker.ack(&format!("settled {} {state}", callback.lease.id));
            }
        }
        tokio::task::yield_now().await;
    }
    for user in users {
        user.await.unwrap();
    }
    worker.store.close().await.unwrap();
}

impl Worker {
    /// Logs in and out.
    async fn live(self: Arc<Self>, user: String) {
        for _ in 0..STEPS {
            let at = self.clock.fetch_add(1, Ordering::Relaxed);
            let loaded = self.store.load(&name(&user)).await.unwrap();
            let event = match loaded.value.connections().first() {
                None => logged_in(at),
                Some(one) => Event::Disconnected { conn: one.id, end: End::LoggedOut },
            };
            let commit = decided(loaded, &user, event, at);
            let (version, seq) = (commit.based_on + 1, commit.state.last_seq());
            let told: Vec<_> = commit.callbacks.iter().map(|one| one.change.seq).collect();
            self.store.commit(commit).await.unwrap();
            self.ack(&format!("user {user} {version} {seq}"));
            told.iter().for_each(|seq| self.ack(&format!("callback main:{seq}:{user}")));
        }
    }

    fn ack(&self, line: &str) {
        self.acked.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        if self.acks.fetch_add(1, Ordering::Relaxed).is_multiple_of(ACKS_A_CHECKPOINT) {
            let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
            self.checkpoints.lock().unwrap().query_row(checkpoint, [], |_| Ok(())).unwrap();
        }
    }
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }
}
