//! `mediagate check`: would this configuration work?

use anyhow::bail;

use super::{ConfigArg, print};
use crate::{
    app,
    gateway::{forward, locate::Storage},
    sidecar::{Check, Report, Use, examine},
    storage::Direction,
    telemetry,
};

/// Check the configuration, and whether every storage can be reached and read.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only read the configuration; connect to nothing.
    #[arg(long)]
    offline: bool,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let runtime = super::runtime()?;
        let storages = runtime.block_on(app::try_out(&config, &telemetry::registry()?, app::wall_clock))?;
        print(&format!("{}: the configuration is valid", self.config.config.display()))?;
        for warning in warnings(&config) {
            print(&format!("warning: {warning}"))?;
        }
        if self.offline {
            return Ok(());
        }
        let origins: Vec<String> =
            config.cors.origins.iter().filter(|origin| *origin != "*").cloned().collect();
        let mut failed = 0;
        for (storage, settings) in storages.iter().zip(config.storages.iter().map(app::settings_of)) {
            let usage = Use { direction: Direction::Import, settings: &settings, origins: &origins };
            let report = runtime.block_on(examine(&storage.connection, usage, super::wall_clock));
            failed += usize::from(!report.is_ok());
            lines(storage, &report).iter().try_for_each(|line| print(line))?;
        }
        if failed > 0 {
            bail!("{failed} of {} storages cannot be used", config.storages.len());
        }
        Ok(())
    }
}

/// One line for each try, with what to do where it failed, and for each note.
fn lines(storage: &Storage, report: &Report) -> Vec<String> {
    let name = storage.name();
    let line = |check: &Check| match &check.result {
        Ok(()) => format!("storage {name}: {}: ok", check.probe.as_str()),
        Err(finding) => format!("storage {name}: {}; {}", finding.problem, finding.advice),
    };
    let note = |note: &String| format!("storage {name}: note: {note}");
    report.checks.iter().map(line).chain(report.notes.iter().map(note)).collect()
}

/// What is allowed but seldom meant.
fn warnings(config: &crate::config::Config) -> Vec<String> {
    let mut warnings = Vec::new();
    // It says itself who may see what, and its people make storages.
    let asks_label_studio =
        config.upstream.as_ref().is_some_and(|upstream| upstream.kind == forward::Kind::LabelStudio);
    if !asks_label_studio && config.access.keys.is_empty() && config.access.jwks.is_empty() {
        warnings.push(
            "no [[access.keys]] and no [[access.jwks]]: every request for media will be refused".to_owned(),
        );
    }
    if config.access.allow.is_empty() {
        warnings.push("access.allow is empty: nobody is admitted".to_owned());
    }
    if config.storages.is_empty() && !(asks_label_studio && config.label_studio.storages) {
        warnings.push("no [[storages]]: there is nothing to serve".to_owned());
    }
    if !config.admin.listen.ip().is_loopback() {
        warnings.push(format!(
            "admin.listen {} is not loopback: keep it off public networks",
            config.admin.listen
        ));
    }
    let public = config.access.trusted_proxies.iter().filter(|network| network.prefix_len() == 0);
    warnings.extend(public.map(|network| {
        format!("access.trusted_proxies has {network}: anybody may claim any client address")
    }));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn before_label_studio_neither_keys_nor_storages_are_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mediagate.toml");
        for (text, want) in [
            ("", 2),
            ("[upstream]\nurl = \"http://ls:8080\"", 2),
            ("[upstream]\nurl = \"http://ls:8080\"\nkind = \"label-studio\"", 1),
            (
                "[upstream]\nurl = \"http://ls:8080\"\nkind = \"label-studio\"\n[label_studio]\nstorages = true",
                0,
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let warnings = warnings(&Config::load(&path).unwrap());
            assert_eq!(warnings.len(), want, "{text}: {warnings:?}");
        }
    }
}
