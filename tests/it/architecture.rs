//! Arrows point down: a module uses only the modules listed for it.

use std::{fs, path::Path};

const MAY_USE: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("object", &[]),
    ("fingerprint", &[]),
    ("access", &["fingerprint", "id", "object"]),
    ("egress", &[]),
    ("storage", &["id", "object"]),
    ("task", &["id", "object"]),
    ("annotation", &["id"]),
    ("run", &["id", "storage"]),
    ("store", &["annotation", "id", "object", "run", "storage", "task"]),
    ("s3", &["egress", "fingerprint", "id", "object", "storage"]),
    ("sidecar", &["annotation", "egress", "id", "object", "run", "s3", "storage", "store", "task"]),
    ("server", &["lifecycle"]),
    ("lifecycle", &[]),
    ("telemetry", &[]),
    ("gateway", &["access", "egress", "id", "object", "s3", "storage", "store", "task"]),
    (
        "control",
        &["access", "annotation", "id", "object", "run", "s3", "sidecar", "storage", "store", "task"],
    ),
    (
        "label_studio",
        &[
            "access",
            "annotation",
            "control",
            "egress",
            "gateway",
            "id",
            "object",
            "run",
            "sidecar",
            "storage",
            "store",
            "task",
        ],
    ),
    (
        "config",
        &[
            "access",
            "control",
            "egress",
            "gateway",
            "label_studio",
            "server",
            "sidecar",
            "store",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "access",
            "config",
            "control",
            "egress",
            "gateway",
            "id",
            "label_studio",
            "lifecycle",
            "object",
            "run",
            "s3",
            "server",
            "sidecar",
            "storage",
            "store",
            "task",
            "telemetry",
        ],
    ),
    ("demo", &["id", "object"]),
    (
        "cli",
        &[
            "access",
            "app",
            "config",
            "demo",
            "egress",
            "gateway",
            "id",
            "lifecycle",
            "object",
            "run",
            "s3",
            "sidecar",
            "storage",
            "store",
            "telemetry",
        ],
    ),
];

#[test]
fn modules_use_only_what_is_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in MAY_USE {
        for (file, text) in sources(&src, module) {
            for used in used_modules(&text) {
                if used != *module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{file} uses crate::{used}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_is_in_the_table() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in text.lines() {
        let Some(module) = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ") else { continue };
        let module = module.trim_end_matches(';');
        assert!(MAY_USE.iter().any(|(name, _)| *name == module), "{module} is not in the table");
    }
}

fn sources(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let read = |path: std::path::PathBuf| (path.display().to_string(), fs::read_to_string(&path).unwrap());
    found.into_iter().map(read).collect()
}

/// Every identifier after `crate::`, also within the braces of one `use crate::{..}`.
fn used_modules(text: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, found) in text.match_indices("crate::") {
        let before = text.get(..at).unwrap_or_default().chars().next_back();
        if before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = text.get(at + found.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(list) => used.extend(top_level_names(list)),
            None => used.push(leading_name(rest)),
        }
    }
    used
}

fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(leading_name(list.get(start..at).unwrap_or_default().trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(leading_name(list.get(start..at).unwrap_or_default().trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn the_reader_of_uses_sees_braces_and_paths() {
    let text =
        "use crate::{access::{self, Error}, id::TaskId,\n s3};\nlet x = crate::object::ETag; mycrate::no::x";
    assert_eq!(used_modules(text), ["access", "id", "s3", "object"]);
}
