//! All figures as text, each with what was simulated for it.

use super::{Losses, Posts, RightAfter, Trouble, after_app_outage, after_restart, losses, posts};
use crate::proxy::{Proxied, Proxy, proxied};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How long the network is away at most, where it is.
const AWAY_MS: u64 = 15_000;
/// Of a hundred clients so many do not come back after a restart, in one of the rows.
const STAY_AWAY_PERCENT: u64 = 5;
/// As the acceptance of the proxy is stated.
const PROXY: Proxy = Proxy { lost_percent: 30, twice_percent: 20, reorders: false };

/// How much is simulated.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Behind the proxy: users, and how many transitions they make.
    pub proxied: (usize, u64),
    /// For false offlines: seeds, users, and how often each loses the line.
    pub lines: (u64, usize, u64),
    /// The same, and how often Herald restarts.
    pub restarts: (u64, usize, u64),
    /// For right views: seeds and users.
    pub views: (u64, usize),
    /// How long the App is away then.
    pub outage: Duration,
    /// For requests: users and hours.
    pub posts: (usize, u64),
}

impl Scale {
    /// What `cargo xtask figures` simulates.
    pub const WHOLE: Scale = Scale {
        proxied: (300, 100_000),
        lines: (10, 2_000, 25),
        restarts: (10, 2_000, 10),
        views: (10, 2_000),
        outage: Duration::from_secs(1_200),
        posts: (500, 10),
    };
}

/// Says each figure, line by line. What is said if a promise is broken is how.
pub fn report(scale: &Scale, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    behind_the_proxy(scale, say)?;
    false_offlines(scale, say)?;
    right_views(scale, say)?;
    requests(scale, say)
}

fn behind_the_proxy(scale: &Scale, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let (users, transitions) = scale.proxied;
    let variants = [(false, false), (false, true), (true, false), (true, true)];
    let run = |number: u64| {
        let (reorders, collapse) = variants[number as usize];
        proxied(number, users, transitions, collapse, Proxy { reorders, ..PROXY })
    };
    say("Users whose state an App has wrong, behind a proxy that loses 30 % of the answers and");
    say("delivers 20 % of the requests twice:");
    for (proxied, (reorders, collapse)) in each(0..variants.len() as u64, run)?.iter().zip(variants)
    {
        let Proxied { transitions, posts, answers_lost, arrived_twice, seconds, .. } = *proxied;
        say(&format!(
            "  {}, collapse {}: {transitions} transitions of {users} users, {posts} requests, \
             {answers_lost} answers lost, {arrived_twice} sent twice, told after {:.1} h",
            if reorders { "reordered" } else { "in order" },
            if collapse { "on" } else { "off" },
            seconds as f64 / 3_600.0,
        ));
        for view in &proxied.views {
            let in_order = match reorders {
                true => String::new(),
                false => format!(", {} in arrival order", view.wrong_in_order),
            };
            say(&format!("    {:<12} {} by seq{in_order}", view.app, view.wrong_by_seq));
        }
    }
    Ok(())
}

fn false_offlines(scale: &Scale, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    say("");
    say(
        "False offlines per million disconnects: told offline at the scope of the user, though the",
    );
    say(
        "client reached Herald again within the grace (20 s after the loss, 60 s after the start):",
    );
    let rows = [
        ("line lost, network there", Trouble::Lines { away_ms: 0 }, scale.lines),
        ("line lost, network away up to 15 s", Trouble::Lines { away_ms: AWAY_MS }, scale.lines),
        ("Herald restarts, back in 0.5 to 10 s", Trouble::Restarts, scale.restarts),
    ];
    for (what, trouble, (seeds, users, times)) in rows {
        let all = each(0..seeds, |seed| losses(seed, users, times, trouble))?;
        let Losses { lost, back_in_time, back_later, false_offlines, due_offlines } =
            all.into_iter().sum();
        let per_million = false_offlines as f64 * 1e6 / lost as f64;
        say(&format!(
            "  {what:<36} {per_million:.1}  ({lost} disconnects: {back_in_time} back in time, \
             {false_offlines} of them told offline; {back_later} later, {due_offlines} told)"
        ));
    }
    Ok(())
}

fn right_views(scale: &Scale, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let (seeds, users) = scale.views;
    say("");
    say(&format!("Seconds to a right view ({users} users, {seeds} seeds: median, most):"));
    let minutes = scale.outage.as_secs() / 60;
    let outages = each(0..seeds, |seed| after_app_outage(seed, users, scale.outage))?;
    say_right(&format!("App away {minutes} min, from its return"), outages, say);
    let restarts = each(0..seeds, |seed| after_restart(seed, users, 0))?;
    say_right("Herald killed, from its start; all come back", restarts, say);
    let restarts = each(0..seeds, |seed| after_restart(seed, users, STAY_AWAY_PERCENT))?;
    say_right("Herald killed, from its start; 5 % stay away", restarts, say);
    Ok(())
}

fn say_right(what: &str, runs: Vec<Vec<RightAfter>>, say: &mut dyn FnMut(&str)) {
    let mut seconds: BTreeMap<(&str, &str), Vec<Option<f64>>> = BTreeMap::new();
    for right in runs.iter().flatten() {
        seconds.entry((right.app, "by seq")).or_default().push(right.by_seq);
        seconds.entry((right.app, "in arrival order")).or_default().push(right.in_order);
    }
    say(&format!("  {what}"));
    for ((app, how), seconds) in seconds {
        let mut known: Vec<f64> = seconds.iter().copied().flatten().collect();
        known.sort_by(f64::total_cmp);
        let never = seconds.len() - known.len();
        let figures = match (known.get(known.len() / 2), known.last()) {
            (Some(median), Some(most)) => format!("{median:>5.1} {most:>5.1}"),
            _ => String::new(),
        };
        let never = if never > 0 { format!("  {never} not at all") } else { String::new() };
        say(&format!("    {app:<12} {how:<17} {figures}{never}"));
    }
}

fn requests(scale: &Scale, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let (users, hours) = scale.posts;
    say("");
    say(&format!(
        "POSTs per user-hour, 20 line losses an hour ({users} users, {hours} hours), by \
         online.scope/offline.scope:"
    ));
    for (what, away_ms) in [("back at once", 0), ("back after 60 s", 60_000)] {
        say(&format!("  {what}"));
        for Posts { app, scopes, per_user_hour } in posts(0, users, hours, away_ms)? {
            say(&format!("    {app:<12} {scopes:<23} {per_user_hour:>5.1}"));
        }
    }
    Ok(())
}

/// Runs each number on whichever core is free; in order of the numbers.
fn each<T: Send>(
    numbers: Range<u64>,
    run: impl Fn(u64) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let next = AtomicU64::new(numbers.start);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= numbers.end {
                return done;
            }
            done.push((number, run(number)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut done: Vec<_> = thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = working.into_iter().map(|thread| thread.join());
        joined.flat_map(|done| done.expect("a run does not panic outside of its tasks")).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter()
        .map(|(number, run)| run.map_err(|how| format!("seed {number}: {how}")))
        .collect()
}
