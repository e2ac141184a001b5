//! What a token says of a decision.

use crate::{
    access::mint::TokenRequest,
    gateway::{
        links::Mentioned,
        locate::{Storage, Storages},
    },
    id::ProjectId,
    label_studio::Scope,
    object::{ObjectPattern, ObjectUri},
};

/// A task: the objects that it mentions where they fit, else none, which means those that it is found to mention.
pub(super) fn of_task(
    number: u64,
    mentioned: &Mentioned,
    subject: &str,
    storages: &Storages,
    scope: Scope,
) -> TokenRequest {
    let objects = match (scope, &mentioned.project) {
        (Scope::TaskData, _) => named(mentioned.objects()),
        (Scope::Prefix | Scope::Bucket, Some(project)) => patterns(project, storages, scope),
        (Scope::Prefix | Scope::Bucket, None) => Vec::new(),
    };
    TokenRequest {
        subject: Some(subject.to_owned()),
        task: Some(number.to_string()),
        project: mentioned.project.as_ref().map(ToString::to_string),
        objects,
        ..TokenRequest::default()
    }
}

/// A project: what lies in its storages. It has no data of its own that could mention anything.
pub(super) fn of_project(
    project: &ProjectId,
    subject: &str,
    storages: &Storages,
    scope: Scope,
) -> TokenRequest {
    TokenRequest {
        subject: Some(subject.to_owned()),
        project: Some(project.to_string()),
        objects: patterns(project, storages, scope),
        ..TokenRequest::default()
    }
}

/// The objects by name. A key such as `img/*` would be read as a prefix by whoever reads the token, so such a task names
/// none.
fn named(objects: &[ObjectUri]) -> Vec<String> {
    let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let means_itself = |(object, text): (&ObjectUri, &String)| matches!(ObjectPattern::parse(text), Ok(ObjectPattern::Object(read)) if read == *object);
    let bytes: usize = texts.iter().map(|text| text.len() + 3).sum();
    if bytes <= MAX_NAMED && objects.iter().zip(&texts).all(means_itself) { texts } else { Vec::new() }
}

/// All that lies in the storages of the project and in those of no project.
fn patterns(project: &ProjectId, storages: &Storages, scope: Scope) -> Vec<String> {
    let is_open = |storage: &&_| Storage::project(storage).is_none_or(|own| own == project);
    let start = |storage: &Storage| {
        let bucket = storage.connection.bucket();
        match scope {
            Scope::Bucket => format!("s3://{bucket}/"),
            Scope::TaskData | Scope::Prefix => format!("s3://{bucket}/{}", storage.prefix()),
        }
    };
    let mut starts: Vec<String> =
        storages.iter().map(|storage| &**storage).filter(is_open).map(start).collect();
    starts.sort_unstable();
    // All end in a slash, so that what begins like another lies within it.
    starts.dedup_by(|next, before| next.starts_with(before.as_str()));
    let patterns = starts.into_iter().map(|start| start + "*");
    patterns.filter(|text| matches!(ObjectPattern::parse(text), Ok(ObjectPattern::Prefix { .. }))).collect()
}

/// Bytes of a token's objects, so that it fits in a cookie: a third more in base64, and the rest of the token.
const MAX_NAMED: usize = 2_250;

#[cfg(test)]
mod tests {
    use super::*;

    fn mentioned(uris: &[String]) -> Mentioned {
        let data = serde_json::to_string(uris).unwrap();
        Mentioned::read(Some(serde_json::from_str("3").unwrap()), &data)
    }

    #[test]
    fn objects_are_named_where_they_fit_and_mean_themselves() {
        let many: Vec<String> = (0..100).map(|number| format!("s3://media/frames/{number:06}.jpg")).collect();
        for (uris, want) in [
            (vec!["s3://media/b".to_owned(), "s3://media/a*b".to_owned()], 2),
            (vec!["s3://media/a".to_owned(), "s3://media/*".to_owned()], 0),
            (vec!["s3://media/img/*".to_owned()], 0),
            (vec!["s3://media/img*".to_owned()], 1),
            (many, 0),
            (vec!["no uri".to_owned()], 0),
        ] {
            let storages = Storages::default();
            let request = of_task(7, &mentioned(&uris), "ann", &storages, Scope::TaskData);
            assert_eq!(request.objects.len(), want, "{:?}", uris.first());
            assert_eq!((request.task.as_deref(), request.project.as_deref()), (Some("7"), Some("3")));
        }
    }
}
