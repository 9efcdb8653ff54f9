//! The Autobahn cases against the gateway's sockets, by the test that drives kosoku, which has them.

use crate::{install, steps::cargo};
use anyhow::{Result, ensure};

const TEST: &str = "gateway::conformance::every_autobahn_case_within_the_frame_limit_passes";

/// That test alone, with how many cases passed.
pub(crate) fn conformance() -> Result<()> {
    let mut test = cargo(&["test", "--workspace", "--lib", "--locked", "--quiet", "--"]);
    test.args(["--exact", "--nocapture", "--ignored", TEST]).env("KOSOKU", install::kosoku());
    let output = test.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{}\n{}", said.trim(), String::from_utf8_lossy(&output.stderr).trim());
    ensure!(output.status.success(), "not all cases passed");
    // A test that has another name by now runs nothing and passes.
    ensure!(said.contains("0 failed, "), "{TEST} was not run");
    Ok(())
}
