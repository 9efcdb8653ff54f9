//! Herald as a program of its own, for tests that kill it.

use super::{PATIENCE, SECRET, places, spawned::Spawned};
pub use rustix::process::Signal;
use server::client::http;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A herald process that can be killed and started again on the same folder and ports.
pub struct Process {
    pub gateway: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Spawned>,
}

impl Process {
    pub fn new(folder: &Path, callback_url: &str, more: &[(&str, &str)]) -> Process {
        let [gateway, api, admin] = places::of_our_own();
        let mut environment = vec![
            ("HERALD_AUTH__SECRET".to_owned(), SECRET.to_owned()),
            ("HERALD_ADMIN__TOKEN".to_owned(), SECRET.to_owned()),
            ("HERALD_CALLBACKS__URL".to_owned(), callback_url.to_owned()),
            ("HERALD_STORE__PATH".to_owned(), folder.join("data").display().to_string()),
            ("HERALD_GATEWAY__LISTEN".to_owned(), gateway.to_string()),
            ("HERALD_API__LISTEN".to_owned(), api.to_string()),
            ("HERALD_ADMIN__LISTEN".to_owned(), admin.to_string()),
            ("HERALD_LOG__LEVEL".to_owned(), "warn".to_owned()),
        ];
        environment.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let folder = folder.to_owned();
        Process { gateway, api, admin, folder, environment, child: None }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        self.start_logging_to(log.into()).await;
    }

    /// The same with a log of the test's own.
    pub async fn start_logging_to(&mut self, log: Stdio) {
        self.spawn(self.command(), log).await;
    }

    /// The same as a process that may have so many files open and no more.
    pub async fn start_with_files(&mut self, files: u32) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        self.spawn(self.with_files(files), log.into()).await;
    }

    /// `herald serve` with so many files, not yet started.
    pub fn with_files(&self, files: u32) -> Command {
        let herald = self.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        shell.arg(herald.get_program()).args(herald.get_args());
        shell.envs(herald.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(&self.folder).stdin(Stdio::null());
        shell
    }

    async fn spawn(&mut self, mut command: Command, log: Stdio) {
        self.child = Some(Spawned::start(command.stdout(Stdio::null()).stderr(log)));
        // The pipe of a log is the child's alone from now on.
        drop(command);
        self.becomes_ready().await;
    }

    /// Fails at once, with its log, if it ends instead.
    async fn becomes_ready(&mut self) {
        let ready = async {
            while !self.is_ready().await {
                assert!(self.is_running(), "herald ended at its start:\n{}", self.log_text());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ready).await;
        assert!(waited.is_ok(), "herald does not get ready:\n{}", self.log_text());
    }

    /// The same, under a shell that sets the umask first.
    pub async fn start_with_umask(&mut self, umask: u32) {
        let herald = self.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask:o}; exec \"$0\" serve")]);
        shell.arg(herald.get_program()).current_dir(&self.folder).stdin(Stdio::null());
        shell.envs(herald.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        self.spawn(shell, log.into()).await;
    }

    /// `herald serve`, not yet started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.arg("serve").current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// SIGTERM; its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ends().await
    }

    pub fn signal(&self, signal: Signal) {
        self.child.as_ref().expect("it runs").signal(signal);
    }

    /// Waits until it has ended; its exit code.
    pub async fn ends(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        tokio::task::spawn_blocking(move || child.ended().code()).await.unwrap()
    }

    pub async fn is_ready(&self) -> bool {
        matches!(http(self.admin, "GET", "/readyz", &[], "").await, Ok((200, _)))
    }

    /// One call of the management API: status and body. None while it does not answer.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Option<u16> {
        let authorization = format!("Bearer {SECRET}");
        let headers = [("Authorization", authorization.as_str())];
        let answer = http(self.admin, "POST", path, &headers, &body.to_string()).await;
        answer.ok().map(|(status, _)| status)
    }

    /// From the next start on.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment.retain(|(known, _)| known != variable);
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.take().expect("it runs").kill();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(Spawned::is_running)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What it takes up of the machine's memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("herald.log")
    }

    /// The management API: status and body.
    pub async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let authorization = format!("Bearer {SECRET}");
        let headers = [("Authorization", authorization.as_str())];
        let (status, body) = http(self.admin, "GET", path, &headers, "").await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    pub async fn users_online(&self) -> Vec<String> {
        let (_, page) = self.get("/v1/users?state=online&limit=1000").await;
        let users = page["users"].as_array().unwrap().iter();
        users.map(|user| user["userID"].as_str().unwrap().to_owned()).collect()
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A number of `/metrics`.
    pub async fn metric(&self, line: &str) -> Option<f64> {
        let (_, text) = http(self.admin, "GET", "/metrics", &[], "").await.unwrap();
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }

    pub async fn owed(&self) -> u64 {
        self.get("/v1/endpoints").await.1[0]["owed"].as_u64().unwrap()
    }
}
