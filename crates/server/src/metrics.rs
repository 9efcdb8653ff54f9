//! What is counted. Names and labels are documented in `docs/operating.md`; never a user id.

use crate::{logging, supervision};
use presence::{Kind, Verdict};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::fmt;
use store::EndpointName;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// Sockets that are open.
    pub connections: Gauge,
    /// How many may be open.
    pub connections_max: Gauge,
    /// Users with at least one connection that counts; set when asked for.
    pub users_online: Gauge,
    /// Clients that wait for the App's answer.
    pub at_gate: Gauge,
    gate: Family<[(&'static str, &'static str); 1], Counter>,
    refused: Family<[(&'static str, String); 1], Counter>,
    changes: Family<[(&'static str, &'static str); 1], Counter>,
    attempts: Family<AttemptLabels, Counter>,
    latency: Histogram,
    owed: Family<[(&'static str, String); 1], Gauge>,
    oldest_owed: Family<[(&'static str, String); 1], Gauge>,
    dead: Family<[(&'static str, String); 1], Gauge>,
    marks: Family<[(&'static str, String); 1], Gauge>,
    resync: Family<[(&'static str, String); 1], Gauge>,
    /// Connections cut because their outbound queue was full.
    pub slow_readers: Counter,
    /// 1 while nobody's grace runs out.
    pub graces_held: Gauge,
    /// How often connections vanished in masses.
    pub mass_losses: Counter,
    held: Family<[(&'static str, String); 1], Gauge>,
    /// Stored rows that could not be read; set when asked for.
    pub rows_set_aside: Gauge,
    /// 1 while nothing can be stored; set when asked for.
    pub store_unavailable: Gauge,
    /// Callbacks that were owed for longer than the retention.
    pub expired: Counter,
    /// Callbacks that were not sent because a later one said it as well.
    pub superseded: Counter,
    /// Callbacks that told an App again how things are.
    pub retold: Counter,
    /// Wrong secrets, and those that were not looked at after too many.
    pub wrong_secrets: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    endpoint: String,
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let latency = Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("herald"),
            connections: Gauge::default(),
            connections_max: Gauge::default(),
            users_online: Gauge::default(),
            at_gate: Gauge::default(),
            gate: Family::default(),
            refused: Family::default(),
            changes: Family::default(),
            attempts: Family::default(),
            latency,
            owed: Family::default(),
            oldest_owed: Family::default(),
            dead: Family::default(),
            marks: Family::default(),
            resync: Family::default(),
            slow_readers: Counter::default(),
            graces_held: Gauge::default(),
            mass_losses: Counter::default(),
            held: Family::default(),
            rows_set_aside: Gauge::default(),
            store_unavailable: Gauge::default(),
            expired: Counter::default(),
            superseded: Counter::default(),
            retold: Counter::default(),
            wrong_secrets: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("connections", "Open client connections", self.connections.clone());
        let help = "Client connections that are let in, as the limit of files allows";
        r.register("connections_max", help, self.connections_max.clone());
        r.register("users_online", "Users who are online", self.users_online.clone());
        r.register("handshakes_refused", "Handshakes refused, by code", self.refused.clone());
        r.register("gate_waiting", "Clients that wait for the App", self.at_gate.clone());
        let help = "Logins about which the App was to be asked, by outcome";
        r.register("gate_logins", help, self.gate.clone());
        r.register("changes", "Presence changes, by kind", self.changes.clone());
        r.register("callback_attempts", "Attempts, by outcome", self.attempts.clone());
        let help = "How long an attempt took, in seconds";
        r.register("callback_attempt_seconds", help, self.latency.clone());
        r.register("callbacks_owed", "Callbacks not yet delivered", self.owed.clone());
        let help = "Age of the oldest callback owed, in seconds";
        r.register("callbacks_oldest_owed_seconds", help, self.oldest_owed.clone());
        r.register("callbacks_dead", "Callbacks given up, in the history", self.dead.clone());
        let help = "Things that an App was not told, and is not right about yet";
        r.register("endpoint_marks", help, self.marks.clone());
        let help = "Callbacks that told an App again how things are";
        r.register("callbacks_retold", help, self.retold.clone());
        let help = "Wrong secrets of the two APIs, and those not looked at after too many";
        r.register("wrong_secrets", help, self.wrong_secrets.clone());
        let help = "1: the App must read who is online";
        r.register("endpoint_needs_resync", help, self.resync.clone());
        let help = "Connections cut because they did not read";
        r.register("slow_readers", help, self.slow_readers.clone());
        let help = "1: nobody's grace runs out";
        r.register("graces_held", help, self.graces_held.clone());
        let help = "How often connections vanished in masses";
        r.register("mass_losses", help, self.mass_losses.clone());
        let help = "1: the App refuses so many that it is not obeyed";
        r.register("refusals_held", help, self.held.clone());
        let help = "Rows of the store that could not be read and were set aside";
        r.register("store_rows_set_aside", help, self.rows_set_aside.clone());
        let help = "1: nothing can be stored, logins are refused";
        r.register("store_unavailable", help, self.store_unavailable.clone());
        let help = "Callbacks owed for longer than the retention";
        r.register("callbacks_expired", help, self.expired.clone());
        let help = "Callbacks not sent because a later one said it as well";
        r.register("callbacks_superseded", help, self.superseded.clone());
        let help = "Lines of the log that did not fit, and were dropped";
        r.register("log_lines_dropped", help, logging::dropped());
        let help = "Panics that ended a piece of work, by which";
        r.register("panics", help, supervision::panics());
    }

    /// One attempt ended.
    pub fn attempt(&self, endpoint: &EndpointName, verdict: Verdict, took_ms: u64) {
        let outcome = crate::callbacks::verdict_name(verdict);
        let labels = AttemptLabels { endpoint: endpoint.to_string(), outcome };
        self.attempts.get_or_create(&labels).inc();
        self.latency.observe(took_ms as f64 / 1000.0);
    }

    /// One handshake was refused with this code.
    pub fn refused(&self, code: i32) {
        self.refused.get_or_create(&[("code", code.to_string())]).inc();
    }

    /// One login about which the App was to be asked is decided.
    pub fn gate(&self, outcome: &'static str) {
        self.gate.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// One change was committed.
    pub fn change(&self, kind: Kind) {
        let kind = match kind {
            Kind::Online => "online",
            Kind::Offline => "offline",
            Kind::KickOff => "kick_off",
            Kind::Background => "background",
        };
        self.changes.get_or_create(&[("kind", kind)]).inc();
    }

    /// What an endpoint is owed, as of now.
    pub fn backlog(
        &self,
        endpoint: &EndpointName,
        backlog: store::Backlog,
        needs_resync: bool,
        now: presence::Timestamp,
    ) {
        let label = [("endpoint", endpoint.to_string())];
        let age = backlog.oldest_at.map_or(0, |at| now.0.saturating_sub(at.0) / 1000);
        self.owed.get_or_create(&label).set(backlog.owed as i64);
        self.oldest_owed.get_or_create(&label).set(age as i64);
        self.dead.get_or_create(&label).set(backlog.dead as i64);
        self.marks.get_or_create(&label).set(backlog.marks as i64);
        self.resync.get_or_create(&label).set(needs_resync.into());
    }

    /// Whether an endpoint's refusals are carried out.
    pub fn refusals_held(&self, endpoint: &EndpointName, held: bool) {
        self.held.get_or_create(&[("endpoint", endpoint.to_string())]).set(held.into());
    }

    /// In the OpenMetrics text form.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
