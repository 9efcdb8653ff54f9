//! The picture of the README: a real run of the demo, and the App's page at its height.

use crate::{
    install,
    steps::{cargo, run},
};
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

const PICTURE: &str = "docs/demo.png";
/// When this is told, everybody of the story is online.
const HEIGHT_OF_THE_STORY: &str = "=> App: carol is online";
/// Of a temporary server, but no picture should show one.
const SECRET: &str = "Authorization";
/// As root there is no sandbox; and nobody else is to be called.
const CHROMIUM: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Runs the demo and writes the picture.
pub(crate) fn draw() -> Result<()> {
    run(cargo(&["build", "--release", "--package", "herald-server", "--locked", "--quiet"]))?;
    let folder = std::path::absolute(install::target().join("picture"))?;
    fs::create_dir_all(&folder)?;
    let mut demo = Demo::start(&install::target().join("release/herald"))?;
    let story = demo.until(HEIGHT_OF_THE_STORY)?;
    let app = story.iter().find_map(|line| line.split_once("who is online   "));
    let (_, app) = app.context("the demo does not say where the App's page is")?;
    // At once: the story goes on while a browser starts.
    let taken = ["/online", "/"].map(|path| get(app, path).map(|answer| (path, answer)));
    drop(demo);
    let taken = taken.into_iter().collect::<Result<Vec<_>>>()?;
    screenshot(&folder, &serve(taken)?, (480, 420), &folder.join("app.png"))?;
    let page = folder.join("page.html");
    fs::write(&page, html(&story, app))?;
    let page = format!("file://{}", page.display());
    screenshot(&folder, &page, (1440, 560), &std::path::absolute(PICTURE)?)?;
    println!("{PICTURE} is written");
    Ok(())
}

struct Demo {
    child: Child,
    /// Open to the end: a demo that cannot print ends.
    output: BufReader<ChildStdout>,
}

impl Demo {
    #[expect(clippy::disallowed_methods, reason = "`Drop` ends it")]
    fn start(program: &Path) -> Result<Demo> {
        let mut demo = Command::new(program);
        demo.args(["demo"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = demo.spawn()?;
        let output = child.stdout.take().context("it is piped")?;
        Ok(Demo { child, output: BufReader::new(output) })
    }

    /// All lines up to one that holds this.
    fn until(&mut self, last: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for line in self.output.by_ref().lines() {
            lines.push(line?);
            if lines.last().is_some_and(|line| line.contains(last)) {
                return Ok(lines);
            }
        }
        anyhow::bail!("the demo ended without `{last}`:\n{}", lines.join("\n"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is answered at a path of `http://ADDRESS`, with its head.
fn get(url: &str, path: &str) -> Result<String> {
    let address = url.strip_prefix("http://").context("no http address")?;
    let mut app = TcpStream::connect(address)?;
    write!(app, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    app.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Answers once more what was answered before, by the beginning of the path; its address.
fn serve(taken: Vec<(&'static str, String)>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut asked in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let read = asked.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]);
            let path = head.split(' ').nth(1).unwrap_or("/");
            if let Some((_, answer)) = taken.iter().find(|(begin, _)| path.starts_with(begin)) {
                let _ = asked.write_all(answer.as_bytes());
            }
        }
    });
    Ok(format!("http://{address}"))
}

fn screenshot(folder: &Path, url: &str, (width, height): (u32, u32), picture: &Path) -> Result<()> {
    let program = env::var_os("CHROMIUM_BIN").unwrap_or("chromium".into());
    let mut chromium = Command::new(program);
    chromium.args(CHROMIUM).arg(format!("--user-data-dir={}", folder.join("profile").display()));
    chromium.arg(format!("--window-size={width},{height}"));
    chromium.arg(format!("--screenshot={}", picture.display())).arg(url);
    let output = chromium.stdin(Stdio::null()).output().context("Chromium cannot be started")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The demo's lines beside the picture of the App's page.
fn html(story: &[String], app: &str) -> String {
    let lines = story.iter().filter(|line| !line.contains(SECRET)).map(|line| {
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        if line.contains("=> App:") { format!("<b>{line}</b>") } else { line }
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "<!doctype html><meta charset=utf-8><style>
        body {{ margin: 0; padding: 16px; background: #e6e9ed; display: flex; gap: 16px; \
        font: 13px/1.5 'DejaVu Sans', sans-serif }}
        figure {{ margin: 0; border-radius: 8px; overflow: hidden; background: white; \
        box-shadow: 0 1px 4px #0003 }}
        figcaption {{ padding: 6px 12px; background: #cfd5dc; color: #333 }}
        pre {{ margin: 0; padding: 12px; height: 100%; background: #1d2430; color: #c8d0da; \
        font: 12px/1.45 'DejaVu Sans Mono', monospace }}
        b {{ color: #7fd49b; font-weight: normal }}
        .demo {{ flex: 1 }} img {{ display: block }}
        </style>
        <figure class=demo><figcaption>$ cargo run --release -- demo</figcaption><pre>{}</pre></figure>
        <figure><figcaption>{app}</figcaption><img src=app.png></figure>",
        lines.join("\n")
    )
}
