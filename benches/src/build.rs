//! (e) What the macros cost a build: 40 connectors of 10 callbacks, checked again after one was
//! touched, against the same code without the macros.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig;

const CONNECTORS: usize = 40;
const CALLBACKS: usize = 10;

fn source(number: usize, macros: bool) -> String {
    let mut text = String::from("use connector_core::prelude::*;\n\n");
    if macros {
        text += "#[connector(urls = [\"https://api.example.com/*\"])]\n";
    }
    writeln!(text, "#[derive(Default)]\npub struct C{number};\n").unwrap();
    // Without the macros nothing makes a context of the connector's own, so the methods take any.
    let owner = if macros { format!("C{number}") } else { "O".to_owned() };
    let generics = if macros { "" } else { "<O: connector_core::component::Component>" };
    if macros {
        writeln!(text, "#[connector]\nimpl Connector for C{number} {{}}\n\n#[connector]").unwrap();
    }
    writeln!(text, "impl C{number} {{").unwrap();
    for callback in 0..CALLBACKS {
        if macros {
            text += "    #[callback]\n";
        }
        let visibility = if macros { "" } else { "pub " };
        writeln!(
            text,
            "    {visibility}async fn step_{callback}{generics}(&self, cx: &Context<{owner}>, channel: ChannelId, page: u32) -> Result<()> {{\n        cx.set(\"page\", &page).await?;\n        cx.set(channel.as_str(), &(page + 1)).await\n    }}"
        )
        .unwrap();
    }
    text += "}\n";
    text
}

fn project(folder: &Path, macros: bool) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connector-core");
    let root = root.canonicalize().unwrap();
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let name = if macros { "with-macros" } else { "without-macros" };
    std::fs::write(
        folder.join("Cargo.toml"),
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nconnector-core = {{ path = {:?} }}\n\n[workspace]\n", root.display().to_string()),
    )
    .unwrap();
    let mut library = String::new();
    for number in 0..CONNECTORS {
        writeln!(library, "pub mod c{number};").unwrap();
        std::fs::write(folder.join(format!("src/c{number}.rs")), source(number, macros)).unwrap();
    }
    std::fs::write(folder.join("src/lib.rs"), library).unwrap();
    folder.join("src/c7.rs")
}

fn check(folder: &Path, target: &Path) -> rig::Cost {
    let (status, cost) = rig::measured(|| {
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["check", "--quiet", "--offline"])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target)
            .status()
            .unwrap()
    });
    assert!(status.success(), "the generated connectors do not compile");
    cost
}

/// The measurement.
pub(crate) fn run() {
    let folder = rig::folder("build");
    // What all connectors stand on is checked once, and not again by the next measurement.
    let target = folder.with_file_name("build-target");
    let mut times = [Vec::new(), Vec::new()];
    let projects = [false, true].map(|macros| {
        let project_folder = folder.join(if macros { "with" } else { "without" });
        let touched = project(&project_folder, macros);
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        std::fs::copy(lock, project_folder.join("Cargo.lock")).unwrap();
        check(&project_folder, &target);
        (project_folder, touched)
    });
    for round in 0..rig::setting("ROUNDS", 5) {
        for (place, (project_folder, touched)) in projects.iter().enumerate() {
            let text = std::fs::read_to_string(touched).unwrap();
            std::fs::write(touched, format!("{text}// touched {round}\n")).unwrap();
            times[place].push(check(project_folder, &target));
        }
    }
    let each = |cost: fn(&rig::Cost) -> f64| {
        let [without, with] = times.each_ref().map(|times| rig::median(times.iter().map(cost).collect()));
        println!("  without macros {without:.2} s, with {with:.2} s");
        (with - without) * 1000.0 / (CONNECTORS * CALLBACKS) as f64
    };
    println!("cargo check, CPU and by the clock:");
    let (cpu, wall) = (each(|cost| cost.cpu), each(|cost| cost.wall));
    println!("  {wall:.2} ms more by the clock for each callback");
    rig::verdict("(e) ms of CPU more for each callback", cpu, "<= 3", cpu <= 3.0);
}
