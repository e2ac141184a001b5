use super::*;

#[test]
fn only_answers_in_which_label_studio_resolves_are_looked_at() {
    for (method, target, want) in [
        ("GET", "/api/tasks/7/", true),
        ("GET", "/api/tasks/7", true),
        ("GET", "/api/tasks/7?interaction=true", true),
        ("GET", "/api/tasks/7/?resolve_uri=false", false),
        ("GET", "/api/tasks/7/?resolve_uri=0&project=2", false),
        ("GET", "/api/tasks/7/?resolve_uri=False", false),
        ("GET", "/api/tasks/7/?resolve_uri=true", true),
        ("GET", "/api/tasks?project=1&page=2", true),
        ("GET", "/api/tasks/?view=3", true),
        ("GET", "/api/projects/3/next", true),
        ("GET", "/api/projects/3/next/", true),
        ("POST", "/api/dm/actions?id=next_task&project=3", true),
        ("POST", "/api/dm/actions/?project=3&id=next_task", true),
        ("POST", "/api/dm/actions?id=delete_tasks&project=3", false),
        ("PATCH", "/api/tasks/7/", false),
        ("HEAD", "/api/tasks/7/", false),
        ("GET", "/api/tasks/7/annotations/", false),
        ("GET", "/api/tasks/x/", false),
        ("GET", "/api/projects/3/export?exportType=JSON", false),
        ("GET", "/api/projects/3/tasks/", false),
        ("GET", "/api/storages/s3/?project=1", false),
        ("GET", "/", false),
    ] {
        let uri: Uri = target.parse().unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(
            shows_tasks(&method, uri.path(), uri.query().unwrap_or_default()),
            want,
            "{method} {target}"
        );
    }
}

#[test]
fn tasks_are_found_with_their_project() {
    let project = ProjectId::parse("9").unwrap();
    for (answer, want) in [
        (r#"{"id": 1, "project": 2, "data": {}}"#, &["1 of 2"][..]),
        (r#"{"id": 1, "project": {"id": 2}, "data": {}}"#, &["1 of 2"]),
        (r#"{"id": 1, "data": {}}"#, &["1 of 9"]),
        (r#" [{"id": 1, "data": {}}, {"id": 3, "project": 2, "data": {}}, {"x": 1}]"#, &["1 of 9", "3 of 2"]),
        (r#"{"total": 1, "tasks": [{"id": 4, "data": {}}]}"#, &["4 of 9"]),
        (r#"{"id": 1, "project": 2}"#, &[]),
        (r#"{"detail": "Not found."}"#, &[]),
        (r#"["a", 1]"#, &[]),
        ("not json", &[]),
        ("", &[]),
    ] {
        let found: Vec<String> = tasks_in(answer, Some(&project))
            .iter()
            .map(|task| format!("{} of {}", task.id, task.project.as_ref().unwrap()))
            .collect();
        assert_eq!(found, want, "{answer}");
    }
}
