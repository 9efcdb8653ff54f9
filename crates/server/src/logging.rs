//! The log of the process: writing a line never blocks and never fails.
//!
//! A line is formatted where it is logged and put into a [`Queue`]; a thread of its own writes it. A
//! reader that stalls or is gone, or a full disk, costs lines, never anything else: what does not fit
//! is dropped and counted, and the log says how much it was when it can be written again. Lines that
//! repeat are folded (`fold`).

mod fold;
mod queue;

pub use queue::{Note, Queue};

use crate::{
    clock::{Clock, SystemClock},
    config::LogFormat,
};
use fold::Fold;
use prometheus_client::metrics::counter::Counter;
use std::{
    borrow::Cow,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    panic::PanicHookInfo,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    fmt::{
        MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The target of lines that say what an administrator did.
pub const AUDIT: &str = "server::audit";
/// The target of lines about somebody who is turned away, who may be anybody.
pub const REFUSED: &str = "server::refused";

/// How much may wait to be written: some 10,000 lines.
const QUEUE_BYTES_MAX: usize = 2 << 20;
/// How long the end of the process waits for the last lines to be written.
const FLUSH_MAX: Duration = Duration::from_millis(500);

/// Lines of the log that were dropped.
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);
static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Sends the events of the whole process to stderr, one line for each; panics, too.
pub fn start(format: LogFormat, level: &str) {
    let colours = io::stderr().is_terminal();
    let log = LOG.get_or_init(|| Log::start(stderr(), format, colours));
    let events = fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(ToLog(Arc::clone(log)))
        .with_ansi(colours)
        // The time is put before a line when it is known that it does not only repeat another.
        .without_time()
        // Those would go to stderr directly, and panic if that is broken.
        .log_internal_errors(false);
    // Somebody else's subscriber in this process stays.
    let _ = match format {
        LogFormat::Pretty => events.finish().with(filter(level)).try_init(),
        LogFormat::Json => {
            events.json().flatten_event(true).finish().with(filter(level)).try_init()
        }
    };
    std::panic::set_hook(Box::new(log_panic));
}

/// What `log.level` selects: a level, or levels by module. The configuration has checked it.
fn filter(level: &str) -> Targets {
    let compact: String = level.split_whitespace().collect();
    compact.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
}

/// Writes what is still queued, for a bounded time. For the end of the process.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.write_folded(Fold::end);
        log.queue.flush(FLUSH_MAX);
    }
}

/// Says something on stderr that is no event; in the order of the log, if there is one.
pub fn say(text: &str) {
    match LOG.get() {
        Some(log) => log.queue.push(format!("{text}\n").as_bytes()),
        // Whatever this is about matters more than that it cannot be said.
        None => drop(writeln!(io::stderr(), "{text}")),
    }
}

/// The counter, to be shown among the metrics.
pub(crate) fn dropped() -> Counter {
    DROPPED.clone()
}

/// A copy of stderr: the standard library's own has a lock, which a write that stalls would hold.
fn stderr() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Box::new(File::from(stderr)),
        Err(_) => Box::new(io::stderr()),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let text = panic.payload_as_str().unwrap_or_default();
    tracing::error!(
        place,
        thread = thread.name(),
        panic = text,
        "a panic, which is a fault in Herald; please report it"
    );
}

/// Where lines go: compared with others, given a time, queued.
struct Log {
    queue: Queue,
    fold: Mutex<Fold>,
    clock: SystemClock,
    format: LogFormat,
    colours: bool,
}

impl Log {
    fn start(to: Box<dyn Write + Send>, format: LogFormat, colours: bool) -> Arc<Log> {
        Arc::new_cyclic(|log: &std::sync::Weak<Log>| {
            let log = log.clone();
            let note = move |note| {
                if let Some(log) = log.upgrade() {
                    log.note(note);
                }
            };
            Log {
                queue: Queue::start("herald-log", QUEUE_BYTES_MAX, to, note),
                fold: Mutex::default(),
                clock: SystemClock::start(),
                format,
                colours,
            }
        })
    }

    fn note(&self, note: Note) {
        match note {
            Note::Dropped => drop(DROPPED.inc()),
            Note::Awake => {
                let now = self.clock.now().mono;
                self.write_folded(|fold| fold.due(now));
            }
            Note::WorksAgain { dropped } => tracing::error!(
                lines = dropped,
                "lines of the log were dropped, because it could not be written: its disk was full, \
                 or its reader too slow or gone"
            ),
        }
    }

    fn line(&self, about: About, text: &[u8]) {
        let place = match about {
            About::Act => return self.write(text, Queue::push_first),
            About::Event => None,
            About::Flood(place) => Some(place),
        };
        let now = self.clock.now().mono;
        let mut is_news = true;
        self.write_folded(|fold| {
            let folded = fold.due(now);
            is_news = fold.is_news(now, hash(&text), place, text);
            folded
        });
        if is_news {
            self.write(text, Queue::push);
        }
    }

    fn write_folded(&self, read: impl FnOnce(&mut Fold) -> Vec<fold::Folded>) {
        let folded = read(&mut self.fold.lock().unwrap_or_else(PoisonError::into_inner));
        for folded in folded {
            self.write(&folded.line(self.format), Queue::push);
        }
    }

    /// Puts the time before it.
    fn write(&self, text: &[u8], push: fn(&Queue, &[u8])) {
        let text = &*in_reading_order(text);
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let line = match (self.format, self.colours) {
            (LogFormat::Json, _) => {
                let rest = text.strip_prefix(b"{").unwrap_or(text);
                [format!("{{\"timestamp\":\"{time}\",").as_bytes(), rest].concat()
            }
            (LogFormat::Pretty, true) => {
                [format!("\x1b[2m{time}\x1b[0m ").as_bytes(), text].concat()
            }
            (LogFormat::Pretty, false) => [format!("{time} ").as_bytes(), text].concat(),
        };
        push(&self.queue, &line);
    }
}

/// Without characters that make a screen show a line in another order than it has: they may stand in a name
/// that a client chose. (Control characters are escaped where a line is formatted.)
fn in_reading_order(text: &[u8]) -> Cow<'_, [u8]> {
    const TURNS: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
        '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    match std::str::from_utf8(text) {
        Ok(line) if line.contains(TURNS) => {
            let escaped = |c: char| match TURNS.contains(&c) {
                true => format!("\\u{:04x}", u32::from(c)),
                false => c.to_string(),
            };
            Cow::Owned(line.chars().map(escaped).collect::<String>().into_bytes())
        }
        _ => Cow::Borrowed(text),
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

struct ToLog(Arc<Log>);

struct LineWriter<'a> {
    log: &'a Log,
    about: About,
}

/// How a line is treated when there are many.
#[derive(Debug, Clone, Copy)]
enum About {
    /// What an administrator did: each is written, also one that is the same as the last, and where other lines
    /// fill the queue.
    Act,
    /// An event of its own; only the same line again is counted.
    Event,
    /// Anybody may cause any number of these: of those of one place in the code some are written, and the rest
    /// counted.
    Flood(u64),
}

impl<'a> MakeWriter<'a> for ToLog {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { log: &self.0, about: About::Event }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> LineWriter<'a> {
        let place = || hash(&(meta.target(), meta.file(), meta.line()));
        let about = match meta.target() {
            AUDIT => About::Act,
            REFUSED => About::Flood(place()),
            _ if *meta.level() <= Level::WARN => About::Flood(place()),
            _ => About::Event,
        };
        LineWriter { log: &self.0, about }
    }
}

impl Write for LineWriter<'_> {
    /// Called once for each event, with the whole of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.line(self.about, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_turns_a_line_round() {
        let told =
            |text: &str| String::from_utf8(in_reading_order(text.as_bytes()).into()).unwrap();
        assert_eq!(told("user=\u{202e}nimda ok"), "user=\\u202enimda ok");
        assert_eq!(told("{\"user\":\"\u{2066}a\"}"), "{\"user\":\"\\u2066a\"}");
        assert_eq!(
            told("\u{645}\u{631}\u{62d}\u{628}\u{627}"),
            "\u{645}\u{631}\u{62d}\u{628}\u{627}"
        );
    }

    #[test]
    fn levels_are_read_by_module_in_any_case_with_spaces() {
        let selected = filter("WARN, server::gateway = debug");
        for (target, level, expected) in [
            ("server::driver", Level::INFO, false),
            ("server::driver", Level::WARN, true),
            ("server::gateway::entry", Level::DEBUG, true),
            ("server::gateway::entry", Level::TRACE, false),
        ] {
            assert_eq!(selected.would_enable(target, &level), expected, "{target} {level}");
        }
        assert!(!filter("off").would_enable("server", &Level::ERROR));
    }
}
