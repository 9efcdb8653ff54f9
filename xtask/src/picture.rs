//! The picture of the README: a real run of the demo, and the App's page at its height.

use crate::{
    install,
    steps::{cargo, run},
};
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
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
    screenshot(&folder, app, (480, 420), &folder.join("app.png"))?;
    drop(demo);
    let page = folder.join("demo.html");
    fs::write(&page, html(&story, app))?;
    let page = format!("file://{}", page.display());
    screenshot(&folder, &page, (1440, 560), &std::path::absolute(PICTURE)?)?;
    println!("{PICTURE} is written");
    Ok(())
}

struct Demo(Child);

impl Demo {
    #[expect(clippy::disallowed_methods, reason = "`Drop` ends it")]
    fn start(program: &Path) -> Result<Demo> {
        let mut demo = Command::new(program);
        demo.args(["demo", "--for", "60s"]).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Demo(demo.spawn()?))
    }

    /// All lines up to one that holds this.
    fn until(&mut self, last: &str) -> Result<Vec<String>> {
        let output = self.0.stdout.take().context("read twice")?;
        let mut lines = Vec::new();
        for line in BufReader::new(output).lines() {
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
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
