//! Lines that wait for a thread of their own to write them.

use crate::supervision::contain_sync;
use std::{
    io::{ErrorKind, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long a write that failed waits for the next try.
const RETRY: Duration = Duration::from_millis(200);
/// What part of the room there is beyond it for lines that come first.
const FIRST_PART: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

/// A bounded queue of lines. Putting one in never blocks and never fails.
pub struct Queue(Arc<Shared>);

/// What its owner may want to know; told by the thread that writes, but for `Dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A line did not fit.
    Dropped,
    /// Told at least once a second, unless a write stalls: time to look after other things.
    Awake,
    /// After lines were dropped something could be written.
    WorksAgain {
        /// How many lines were dropped.
        dropped: u64,
    },
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    news: Condvar,
    /// All of it is written.
    done: Condvar,
    bytes_max: usize,
    note: Box<dyn Fn(Note) + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    dropped: u64,
}

impl Queue {
    /// Starts the thread that writes. At most so much waits, and as much again is being written.
    pub fn start(
        name: &str,
        bytes_max: usize,
        to: impl Write + Send + 'static,
        note: impl Fn(Note) + Send + Sync + 'static,
    ) -> Queue {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            news: Condvar::new(),
            done: Condvar::new(),
            bytes_max,
            note: Box::new(note),
        });
        let writer = Arc::clone(&shared);
        let write = move || writer.write_for_ever(to);
        let started = thread::Builder::new().name(name.to_owned()).spawn(write);
        started.expect("a thread can be started at boot");
        Queue(shared)
    }

    /// Queues a line, with its line break; it is dropped if there is no room.
    pub fn push(&self, line: &[u8]) {
        self.push_within(self.0.bytes_max, line);
    }

    /// The same for a line that has room where others have filled theirs.
    pub fn push_first(&self, line: &[u8]) {
        self.push_within(self.0.bytes_max + self.0.bytes_max / FIRST_PART, line);
    }

    fn push_within(&self, bytes_max: usize, line: &[u8]) {
        let mut state = self.0.lock();
        let fits = state.waiting.len() + line.len() <= bytes_max;
        if fits {
            state.waiting.extend_from_slice(line);
        } else {
            state.dropped += 1;
        }
        drop(state);
        match fits {
            true => self.0.news.notify_one(),
            false => (self.0.note)(Note::Dropped),
        }
    }

    /// Waits until everything is written, but no longer than that.
    pub fn flush(&self, most: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        drop(self.0.done.wait_timeout_while(self.0.lock(), most, is_busy));
    }
}

impl Shared {
    fn write_for_ever(&self, mut to: impl Write) {
        loop {
            // The note may log, and everything that may panic does so one day.
            if contain_sync("log", || self.write_next(&mut to)).is_err() {
                self.lock().is_writing = false;
                thread::sleep(RETRY);
            }
        }
    }

    fn write_next(&self, to: &mut impl Write) {
        let state = self.lock();
        let nothing = |state: &mut State| state.waiting.is_empty();
        let waited = self.news.wait_timeout_while(state, SECOND, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut state.waiting);
        state.is_writing = !lines.is_empty();
        drop(state);
        write_all(to, &lines);
        let mut state = self.lock();
        state.is_writing = false;
        // Only when something could be written is it known that it can be said.
        let dropped = if lines.is_empty() { 0 } else { std::mem::take(&mut state.dropped) };
        if state.waiting.is_empty() {
            self.done.notify_all();
        }
        drop(state);
        if dropped > 0 {
            (self.note)(Note::WorksAgain { dropped });
        }
        (self.note)(Note::Awake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries until it works, where the last try ended: a line is never written in part for good.
fn write_all(to: &mut impl Write, mut rest: &[u8]) {
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written @ 1..) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A full disk, a reader that is gone or does not read: the queue keeps what fits.
            Ok(0) | Err(_) => thread::sleep(RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::mpsc};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Writes a few bytes at a time, and fails in between as often as it is told to.
    struct Troubled {
        written: Arc<Mutex<Vec<u8>>>,
        failures: Vec<ErrorKind>,
    }

    impl Write for Troubled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.written.lock().unwrap();
            if written.len() >= 3
                && let Some(failure) = self.failures.pop()
            {
                return Err(failure.into());
            }
            let some = bytes.len().min(3);
            written.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_as_a_whole_whatever_fails_in_between() {
        let written = Arc::default();
        let failures = vec![ErrorKind::StorageFull, ErrorKind::WouldBlock, ErrorKind::Interrupted];
        let troubled = Troubled { written: Arc::clone(&written), failures };
        let queue = Queue::start("test", 1_000, troubled, |_| {});
        queue.push(b"the first line\n");
        queue.push(b"the second\n");
        queue.flush(PATIENCE);
        assert_eq!(*written.lock().unwrap(), b"the first line\nthe second\n");
    }

    /// Writes nothing until somebody lets it.
    struct Stalled(mpsc::Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // For good, when nobody can let it any more.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time_and_hears_how_many() {
        let (let_it, stalled) = mpsc::channel();
        let (told, notes) = mpsc::channel();
        let queue = Queue::start("test", 100, Stalled(stalled), move |note| {
            let _ = told.send(note);
        });
        // At most two full queues are kept: the one being written, and the one that waits.
        for _ in 0..1_000 {
            queue.push(b"0123456789\n");
        }
        let waiting = || queue.0.lock().waiting.len();
        let before = waiting();
        queue.push_first(b"an act\n");
        assert_eq!(waiting(), before + 7, "others fill no room of this one");
        queue.flush(Duration::from_millis(1));
        drop(let_it);
        queue.flush(PATIENCE);
        let first = |wanted: fn(&Note) -> bool| {
            let mut notes = std::iter::from_fn(|| notes.recv_timeout(PATIENCE).ok());
            notes.find(wanted).unwrap()
        };
        assert_eq!(first(|note| *note == Note::Dropped), Note::Dropped);
        let again = first(|note| matches!(note, Note::WorksAgain { .. }));
        let Note::WorksAgain { dropped } = again else { panic!("{again:?}") };
        assert!((980..1_000).contains(&dropped), "{dropped}");
    }
}
