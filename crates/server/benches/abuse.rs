//! What one address without a token, and one ordinary user, can cost: memory, processor, and what logins of
//! others take beside it. `cargo xtask abuse`, about two minutes on loopback.
//!
//! Fails if an attack costs more than 64 MiB or half a core, or if others' logins take more than twice their
//! 99th percentile without it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a stopwatch is what this is")]

#[path = "../tests/support/mod.rs"]
mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use futures_util::{SinkExt, future::join_all};
use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{App, identity, process::Process, token};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{
        Message as Frame,
        protocol::frame::{
            Frame as Piece,
            coding::{Data, OpCode},
        },
    },
};
use wire::{
    identifier as id,
    message::{Message, SetAppBackgroundStatusReq, SubUserOnlineStatus},
    platform::Platform,
};

/// How long each attack lasts.
const LENGTH: Duration = Duration::from_secs(7);
const MEMORY_MIB_MAX: f64 = 64.0;
const CORES_MAX: f64 = 0.5;
const SLOWER_MAX: f64 = 2.0;
/// A 99th percentile is the third worst of 300 logins, and a disk may be slow by itself: an attack costs too
/// much if it does so each time.
const TRIES: usize = 3;

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap().block_on(attack_in_every_way());
}

type Attack = fn(&Attackers, Arc<Target>);

/// Those who attack, on threads of their own that wait for everybody else: their own work, which they
/// would do on another machine, slows nobody.
struct Attackers(Runtime);

impl Attackers {
    fn new() -> Attackers {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_all().on_thread_start(|| {
            // Of this thread alone, as Linux has it.
            rustix::process::setpriority_process(None, 19).unwrap();
        });
        Attackers(runtime.build().unwrap())
    }

    /// So many do it at once, over and over.
    fn each<F>(&self, many: usize, target: Arc<Target>, attack: fn(Arc<Target>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        for _ in 0..many {
            let target = Arc::clone(&target);
            self.0.spawn(async move {
                loop {
                    attack(Arc::clone(&target)).await;
                    sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }

    fn stop(self) {
        self.0.shutdown_background();
    }
}

async fn attack_in_every_way() {
    let attacks: [(&str, Attack); 15] = [
        ("an address: silent connections", |by, target| by.each(2_000, target, silent)),
        ("an address: bodies without a token", |by, target| {
            by.each(400, target, body_without_token)
        }),
        ("an address: heads and bodies that do not end", |by, target| {
            by.each(1_500, Arc::clone(&target), unfinished_head);
            by.each(1_500, target, unfinished_body);
        }),
        ("an address: requests without end", |by, target| by.each(8, target, pipelined)),
        ("an address: answers that it never reads", |by, target| {
            by.each(1_000, Arc::clone(&target), never_reads);
            by.each(1_000, target, never_reads_the_gateway);
        }),
        ("an address: guesses of the secret", |by, target| by.each(8, target, guesses)),
        ("a user: bodies that drip", |by, target| by.each(100, target, dripping_body)),
        ("a user: names of 36 KB to watch", |by, target| by.each(4, target, long_names)),
        ("a user: background flips", |by, target| by.each(20, target, flips)),
        ("a user: WebSocket pings", |by, target| by.each(4, target, pings)),
        ("a user: frames that unpack to 48 KB", |by, target| by.each(16, target, packed)),
        ("a user: pieces of a message that never ends", |by, target| {
            by.each(4, target, empty_pieces);
        }),
        ("a user: logins without end", |by, target| by.each(8, target, logins)),
        ("a user: calls without end", |by, target| by.each(8, target, calls)),
        ("a user: queries for 1,000 names", |by, target| by.each(4, target, queries)),
    ];
    let mut wrong = Vec::new();
    println!("{:<42} {:>10} {:>8} {:>18} {:>7}", "", "memory", "cores", "others' p99", "ratio");
    for (name, attack) in attacks {
        let mut is_fine = false;
        for _ in 0..TRIES {
            let cost = Cost::of(attack).await;
            println!(
                "{name:<42} {:>6.1} MiB {:>8.2} {:>7.1} -> {:>5.1} ms {:>6.2}",
                cost.mib,
                cost.cores,
                cost.alone,
                cost.beside,
                cost.ratio()
            );
            is_fine = cost.is_bounded();
            if is_fine {
                break;
            }
        }
        if !is_fine {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "these cost too much: {wrong:?}");
}

/// What an attack costs.
struct Cost {
    mib: f64,
    cores: f64,
    /// The 99th percentile of others' logins, in ms.
    alone: f64,
    beside: f64,
}

impl Cost {
    async fn of(attack: Attack) -> Cost {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start().await;
        let mut herald = Process::new(folder.path(), &app.url(), &[]);
        herald.start().await;
        let target = Arc::new(Target { herald });
        let alone = target.logins("before").await;
        let (mib, cpu) = (target.mib(), target.cpu());
        let began = Instant::now();
        let attackers = Attackers::new();
        attack(&attackers, Arc::clone(&target));
        sleep(Duration::from_secs(1)).await;
        let beside = target.logins("beside").await;
        let mut most = target.mib();
        while began.elapsed() < LENGTH {
            sleep(Duration::from_millis(200)).await;
            most = most.max(target.mib());
        }
        let cores = (target.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        attackers.stop();
        Cost { mib: most - mib, cores, alone, beside }
    }

    fn ratio(&self) -> f64 {
        self.beside / self.alone
    }

    fn is_bounded(&self) -> bool {
        self.mib <= MEMORY_MIB_MAX && self.cores <= CORES_MAX && self.ratio() <= SLOWER_MAX
    }
}

struct Target {
    herald: Process,
}

impl Target {
    fn mib(&self) -> f64 {
        self.herald.resident_bytes() as f64 / (1 << 20) as f64
    }

    /// The processor time of the server so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.herald.id())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // utime and stime are the 14th and 15th of all, in ticks of 10 ms; the state is no number.
        Duration::from_millis(10 * (fields[10] + fields[11]))
    }

    /// The 99th percentile of logins one after another, by others, in ms. They come from another address.
    async fn logins(&self, what: &str) -> f64 {
        let mut took = Vec::new();
        let began = Instant::now();
        for n in 0..300 {
            let begin = Instant::now();
            let identity = identity(&format!("{what}-{n}"), Platform::Ios);
            let client = server::client::Client::login(self.herald.gateway, &identity).await;
            took.push(begin.elapsed().as_secs_f64() * 1e3);
            client.unwrap().close().await;
            if began.elapsed() > LENGTH / 2 && n > 100 {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        took.sort_by(f64::total_cmp);
        took[took.len() * 99 / 100]
    }

    async fn line(&self, to_api: bool) -> Option<TcpStream> {
        let address = if to_api { self.herald.api } else { self.herald.gateway };
        let socket = TcpSocket::new_v4().unwrap();
        // Another address than that of the others.
        socket.bind(([127, 0, 0, 2], 0).into()).ok()?;
        socket.connect(address).await.ok()
    }

    /// A client of the attacker, as a library of theirs would make it.
    async fn socket(&self, more: &str) -> Option<Socket> {
        let token = token("attacker", Platform::Web);
        let url = format!(
            "ws://{}/?sendID=attacker&token={token}&platformID=5&operationID=o&isBackground=false&sdkType=js{more}",
            self.herald.gateway
        );
        Some(client_async(url, self.line(false).await?).await.ok()?.0)
    }
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn until_closed(mut line: TcpStream) {
    let mut read = [0; 4096];
    while let Ok(Ok(1..)) = timeout(LENGTH, line.read(&mut read)).await {}
}

async fn silent(target: Arc<Target>) {
    let Some(line) = target.line(false).await else { return };
    until_closed(line).await;
}

async fn body_without_token(target: Arc<Target>) {
    let Some(mut line) = target.line(true).await else { return };
    let head = "POST /user/get_users_status HTTP/1.1\r\nHost: x\r\noperationID: o\r\nContent-Length: 1048576\r\n\r\n";
    if line.write_all(head.as_bytes()).await.is_ok() {
        let _ = line.write_all(&[b'x'; 1_048_575]).await;
        until_closed(line).await;
    }
}

/// A head of 14 KB that lacks its end, at the gateway.
async fn unfinished_head(target: Arc<Target>) {
    let Some(mut line) = target.line(false).await else { return };
    let header = format!("X-Padding: {}\r\n", "x".repeat(130)).repeat(95);
    if line.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{header}").as_bytes()).await.is_ok() {
        until_closed(line).await;
    }
}

/// A short body that lacks its last byte, where no token is asked for.
async fn unfinished_body(target: Arc<Target>) {
    let Some(mut line) = target.line(true).await else { return };
    let head = "POST /auth/get_admin_token HTTP/1.1\r\nHost: x\r\noperationID: o\r\nContent-Length: 16384\r\n\r\n";
    if line.write_all(head.as_bytes()).await.is_ok() {
        let _ = line.write_all(&[b' '; 16_383]).await;
        until_closed(line).await;
    }
}

/// As many requests as are answered.
async fn pipelined(target: Arc<Target>) {
    sends(target, "OPTIONS /user/get_users_status HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

/// The same of somebody with a token.
async fn calls(target: Arc<Target>) {
    let token = token("attacker", Platform::Web);
    let head =
        "POST /msg/get_server_time HTTP/1.1\r\nHost: x\r\noperationID: o\r\nContent-Length: 2\r\n";
    sends(target, &format!("{head}token: {token}\r\n\r\n{{}}")).await;
}

async fn sends(target: Arc<Target>, request: &str) {
    let Some(line) = target.line(true).await else { return };
    let (mut answers, mut requests) = line.into_split();
    let request = request.repeat(50);
    let reads = async move {
        let mut read = vec![0; 64 * 1024];
        while let Ok(1..) = answers.read(&mut read).await {}
    };
    let writes = async move { while requests.write_all(request.as_bytes()).await.is_ok() {} };
    tokio::join!(reads, writes);
}

async fn never_reads(target: Arc<Target>) {
    let Some(line) = target.line(true).await else { return };
    only_writes(line, "OPTIONS /user/get_users_status").await;
}

async fn never_reads_the_gateway(target: Arc<Target>) {
    let Some(line) = target.line(false).await else { return };
    only_writes(line, &format!("GET /{}", "x".repeat(15_000))).await;
}

async fn only_writes(mut line: TcpStream, request: &str) {
    let requests = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(10);
    while let Ok(Ok(())) = timeout(LENGTH, line.write_all(requests.as_bytes())).await {}
}

async fn logins(target: Arc<Target>) {
    drop(target.socket("").await);
}

/// Pieces that were made once: the attacker should cost others little by itself.
async fn empty_pieces(target: Arc<Target>) {
    let Some(mut socket) = target.socket("").await else { return };
    let begins = Piece::message(Vec::new(), OpCode::Data(Data::Binary), false);
    let _ = socket.send(Frame::Frame(begins)).await;
    // Not the last one, of no bytes, masked.
    let pieces = [0, 0x80, 0, 0, 0, 0].repeat(2_000);
    while let Ok(Ok(())) = timeout(LENGTH, socket.get_mut().write_all(&pieces)).await {}
}

async fn guesses(target: Arc<Target>) {
    let headers = [("operationID", "o")];
    let body = r#"{"secret":"a guess","userID":"imAdmin"}"#;
    let _ =
        server::client::http(target.herald.api, "POST", "/auth/get_admin_token", &headers, body)
            .await;
}

async fn dripping_body(target: Arc<Target>) {
    let Some(mut line) = target.line(true).await else { return };
    let token = token("attacker", Platform::Web);
    let head = format!(
        "POST /user/get_users_status HTTP/1.1\r\nHost: x\r\noperationID: o\r\ntoken: {token}\r\n\
         Content-Length: 1048576\r\n\r\n"
    );
    let _ = line.write_all(head.as_bytes()).await;
    let _ = line.write_all(&[b' '; 1_000_000]).await;
    while line.write_all(b" ").await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
}

/// Sends requests of one kind for as long as they are taken.
async fn floods(target: Arc<Target>, identifier: i32, data: impl Fn(usize) -> Vec<u8>) {
    let Some(mut socket) = target.socket("").await else { return };
    for n in 0.. {
        let data = STANDARD.encode(data(n));
        let frame = serde_json::json!({
            "reqIdentifier": identifier, "sendID": "attacker", "operationID": "o",
            "msgIncr": n.to_string(), "data": data,
        });
        if socket.send(Frame::binary(frame.to_string())).await.is_err() {
            return;
        }
    }
}

async fn long_names(target: Arc<Target>) {
    let names = |n| SubUserOnlineStatus {
        subscribe_user_ids: vec![format!("{n:06}{}", "x".repeat(36_000))],
        unsubscribe_user_ids: Vec::new(),
    };
    floods(target, id::SUB_USER_ONLINE_STATUS, |n| names(n).encode_to_vec()).await;
}

async fn flips(target: Arc<Target>) {
    let flip = |n: usize| SetAppBackgroundStatusReq {
        user_id: String::new(),
        is_background: n.is_multiple_of(2),
    };
    floods(target, id::SET_BACKGROUND_STATUS, |n| flip(n).encode_to_vec()).await;
}

/// A few hundred bytes that Herald unpacks to 48 KB, and packs again for its answer.
async fn packed(target: Arc<Target>) {
    let Some(mut socket) = target.socket("&compression=gzip").await else { return };
    let frame = serde_json::json!({
        "reqIdentifier": id::GET_NEWEST_SEQ, "sendID": "attacker", "operationID": "o",
        "msgIncr": "hgfedcba".repeat(6_000), "data": "",
    });
    let mut packing = GzEncoder::new(Vec::new(), Compression::best());
    packing.write_all(frame.to_string().as_bytes()).unwrap();
    let frame = packing.finish().unwrap();
    while socket.send(Frame::binary(frame.clone())).await.is_ok() {}
}

async fn pings(target: Arc<Target>) {
    let Some(mut socket) = target.socket("").await else { return };
    while socket.send(Frame::Ping(Vec::new().into())).await.is_ok() {}
}

async fn queries(target: Arc<Target>) {
    let token = token("attacker", Platform::Web);
    let names: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
    let body = serde_json::json!({ "userIDs": names }).to_string();
    let headers = [("operationID", "o"), ("token", token.as_str())];
    let asks = (0..4).map(|_| {
        server::client::http(target.herald.api, "POST", "/user/get_users_status", &headers, &body)
    });
    join_all(asks).await;
}
