//! The real OpenIM SDKs against the real program.

use crate::{
    build,
    steps::{command, run},
};
use anyhow::{Result, bail};

/// All scenarios of `e2e/` with each set-up. Their timers run ten times as fast unless told.
pub(crate) fn real_sdks(arguments: &[&str]) -> Result<()> {
    let real_time = match arguments {
        [] => "",
        ["--real-time"] => "1",
        _ => bail!("e2e takes `--real-time` or nothing"),
    };
    let herald = build::program("herald-server", "bin", "herald")?;
    let mut install = command("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir("e2e");
    run(install)?;
    let mut test = command("npm");
    test.args(["test", "--silent"]).current_dir("e2e");
    test.env("HERALD_BIN", herald).env("REAL_TIME", real_time);
    run(test)
}
