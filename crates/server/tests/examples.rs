//! The Apps of `examples/`, each as a process, against every case of `herald conformance`.
#![allow(clippy::unwrap_used)]

mod support;

use server::client::http;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};
use support::{places, tried::*};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file)
}

async fn check(program: impl AsRef<OsStr>, arguments: &[PathBuf]) {
    for secret in ["", SIGNING] {
        let address = places::of_localhost();
        let mut command = Command::new(&program);
        command.args(arguments);
        command.env("PORT", address.port().to_string()).env("HERALD_SECRET", secret);
        let app = Tried::start_at(address, command).await;
        let url = app.url();
        let signing: &[&str] = if secret.is_empty() { &[] } else { &["--secret", secret] };
        let view = format!("http://{}/", app.address);
        let looked_at = [url.as_str(), "--background", "--view", &view];
        let cases = if secret.is_empty() { 39 } else { 49 };
        passes(&[&looked_at, signing].concat(), cases);
        let page = || async { http(app.address, "GET", "/", &[], "").await.unwrap() };
        let (status, nobody) = page().await;
        assert_eq!((status, nobody.contains("0 online")), (200, true), "{nobody}");
        if secret.is_empty() {
            tell(&app).await;
            let (_, one) = page().await;
            assert!(
                one.contains("1 online") && one.contains("ann") && !one.contains("<b>"),
                "{one}"
            );
        }
    }
}

/// Two come online, one of them leaves, and hears of an older login afterwards.
async fn tell(app: &Tried) {
    for (kind, user, seq) in
        [("Online", "<b>ann", 5), ("Online", "bob", 5), ("Offline", "bob", 7), ("Online", "bob", 6)]
    {
        let command = format!("callbackUser{kind}Command");
        let body = format!(r#"{{"userID":"{user}","callbackCommand":"{command}","seq":{seq}}}"#);
        let path = format!("/callback?command={command}&contenttype=json");
        let answered = http(app.address, "POST", &path, &[], &body).await.unwrap();
        assert_eq!(answered.0, 200, "{answered:?}");
    }
}

#[tokio::test]
async fn the_app_in_python_passes() {
    check("python3", &[example("python/app.py")]).await;
}

#[tokio::test]
async fn the_app_in_node_passes() {
    check("node", &[example("node/app.mjs")]).await;
}

#[tokio::test]
#[ignore = "needs Go: `cargo xtask examples`"]
async fn the_app_in_go_passes() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let mut build = Command::new("go");
    let built = build.arg("build").arg("-o").arg(&app).arg(example("go/main.go")).output();
    let built =
        built.unwrap_or_else(|error| panic!("go cannot be started, is it installed? {error}"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    check(&app, &[]).await;
}

#[tokio::test]
#[ignore = "needs Java: `cargo xtask examples`"]
async fn the_app_in_java_passes() {
    check("java", &[example("java/App.java")]).await;
}
