//! The version of burn that the trainer is built with, for `run.json`.

fn main() {
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    println!("cargo::rustc-env=SEXTANT_BURN_VERSION={}", burn_version());
}

/// As the lock file says, which is what Cargo builds.
fn burn_version() -> String {
    let lock = std::fs::read_to_string("../../Cargo.lock").unwrap_or_default();
    let package = lock
        .split("[[package]]")
        .find(|package| package.contains("name = \"burn\"\n"));
    let version = package.and_then(|package| package.split("version = \"").nth(1));
    let version = version.and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}
