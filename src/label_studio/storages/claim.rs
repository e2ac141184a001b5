//! Which requests of the storage API are answered here.

use http::Method;

use super::merge::Key;

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Claim {
    /// The types `s3` and `s3s`.
    Ours,
    /// A list of all types.
    AllTypes(Key),
}

impl Claim {
    /// Reads a path below the script name; `None` for what is Label Studio's. So are preflights and descriptions
    /// (OPTIONS), whose answers concern no storage.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        if method == Method::OPTIONS {
            return None;
        }
        let rest = path.strip_prefix("/api/storages")?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
        let rest = if rest == "export" { "" } else { rest.strip_prefix("export/").unwrap_or(rest) };
        let is_read = method == Method::GET || method == Method::HEAD;
        match rest {
            "" => is_read.then_some(Self::AllTypes(Key::Type)),
            "types" | "types/" => is_read.then_some(Self::AllTypes(Key::Name)),
            _ => matches!(rest.split('/').next(), Some("s3" | "s3s")).then_some(Self::Ours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_s3_and_the_lists_are_claimed() {
        let ours = Some(Claim::Ours);
        let (all, types) = (Some(Claim::AllTypes(Key::Type)), Some(Claim::AllTypes(Key::Name)));
        for (path, want) in [
            ("/api/storages", all),
            ("/api/storages/", all),
            ("/api/storages/export", all),
            ("/api/storages/export/", all),
            ("/api/storages/types", types),
            ("/api/storages/types/", types),
            ("/api/storages/export/types", types),
            ("/api/storages/s3", ours),
            ("/api/storages/s3/", ours),
            ("/api/storages/s3s/7/sync", ours),
            ("/api/storages/export/s3/7", ours),
            ("/api/storages/export/s3s/validate", ours),
            ("/api/storages/s3/../gcs", ours),
            ("/api/storages/gcs/", None),
            ("/api/storages/gcs/s3", None),
            ("/api/storages/export/gcs", None),
            ("/api/storages/export/export/s3", None),
            ("/api/storages/s3x", None),
            ("/api/storages/S3/", None),
            ("/api/storages/s3%2F1", None),
            ("/api/storages//s3", None),
            ("/api//storages/s3", None),
            ("//api/storages/s3", None),
            ("/%61pi/storages/s3", None),
            ("/api/storagess3", None),
            ("/api/storages.s3", None),
            ("/api/storages/typesx", None),
            ("/api/tasks", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Claim::of(&Method::GET, path), want, "{path}");
            assert_eq!(Claim::of(&Method::HEAD, path), want, "{path}");
            assert_eq!(Claim::of(&Method::OPTIONS, path), None, "{path}");
            let written = want.filter(|claim| *claim == Claim::Ours);
            assert_eq!(Claim::of(&Method::POST, path), written, "{path}");
        }
    }
}
