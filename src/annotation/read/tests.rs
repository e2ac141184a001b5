use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn read(text: &str) -> Result<Annotation, AnnotationFault> {
    Annotation::read(&raw(text), Beside::default(), UNIX_EPOCH + Duration::from_secs(9))
}

#[test]
fn any_frontends_annotation_is_read() {
    for (text, id, task, project, micros) in [
        (r#"{"id": 1, "result": [], "task": 2}"#, "1", "2", None, 9_000_000),
        (r#"{"id": "a-1", "result": {}, "task": "t/1", "project": "p"}"#, "a-1", "t/1", Some("p"), 9_000_000),
        (
            r#"{"id": 1, "result": [], "task": {"id": 2, "data": {}, "project": 3}}"#,
            "1",
            "2",
            Some("3"),
            9_000_000,
        ),
        (
            r#"{"id": 1, "result": [], "task": 2, "project": {"id": 4}, "created_at": "1970-01-01T00:00:02Z"}"#,
            "1",
            "2",
            Some("4"),
            2_000_000,
        ),
        (
            r#"{"id": 1, "result": [], "task": 2, "project": null, "created_at": "1970-01-01T00:00:02Z",
                "updated_at": "1970-01-01T01:00:03.5+01:00"}"#,
            "1",
            "2",
            None,
            3_500_000,
        ),
    ] {
        let annotation = read(text).unwrap();
        assert_eq!((annotation.id.as_str(), annotation.task.as_str()), (id, task), "{text}");
        assert_eq!(annotation.project.as_ref().map(ProjectId::as_str), project, "{text}");
        assert_eq!(annotation.updated_at, UNIX_EPOCH + Duration::from_micros(micros), "{text}");
        assert_eq!(annotation.body.get(), text, "to the byte");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (text, want) in [
        ("17", "an annotation is a JSON object with id, result and task"),
        (r#"{"result": [], "task": 2}"#, "id is missing"),
        (r#"{"id": null, "result": [], "task": 2}"#, "id is missing"),
        (r#"{"id": 1, "task": 2}"#, "result is missing"),
        (r#"{"id": 1, "result": []}"#, "task is missing"),
        (r#"{"id": 1, "result": [], "task": {"data": {}}}"#, "task.id is missing"),
        (r#"{"id": 1.5, "result": [], "task": 2}"#, "id has to be a whole number or a text"),
        (r#"{"id": "", "result": [], "task": 2}"#, "id: an id is empty"),
        (r#"{"id": 1, "result": [], "task": [2]}"#, "task has to be a whole number or a text"),
        (r#"{"id": 1, "result": [], "task": 2, "project": {}}"#, "project.id is missing"),
        (
            r#"{"id": 1, "result": [], "task": 2, "updated_at": "yesterday"}"#,
            "updated_at has to be a time such as 2026-11-24T18:30:00.123456Z",
        ),
        (
            r#"{"id": 1, "result": [], "task": 2, "updated_at": "1969-12-31T23:59:59Z"}"#,
            "updated_at has to be a time such as 2026-11-24T18:30:00.123456Z",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), want, "{text}");
    }
}

#[test]
fn what_stands_beside_it_is_used() {
    let (task, project) = (raw(r#"{"id": 2, "data": {"n": 1.10}}"#), raw(r#"{"id": 5, "token": "x"}"#));
    let seven = AnnotationId::parse("7").unwrap();
    let beside = Beside { id: Some(&seven), task: Some(&task), project: Some(&project) };
    let annotation = Annotation::read(&raw(r#"{"result": [], "task": 2}"#), beside, UNIX_EPOCH).unwrap();
    assert_eq!(annotation.id, seven);
    assert_eq!(annotation.project.unwrap().as_str(), "5");
    assert_eq!(annotation.task_body.unwrap().get(), r#"{"id": 2, "data": {"n": 1.10}}"#);
    let other = Annotation::read(&raw(r#"{"id": 8, "result": [], "task": 2}"#), beside, UNIX_EPOCH);
    assert_eq!(other.unwrap_err().to_string(), "id is 8 in the body and 7 in the path");
}
