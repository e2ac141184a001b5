use std::time::UNIX_EPOCH;

use super::*;
use crate::{annotation::Beside, storage::Layout};

fn annotation(body: &str, task: &str) -> Annotation {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let task = Some(task).filter(|task| !task.is_empty()).map(raw);
    let beside = Beside { task: task.as_deref(), ..Beside::default() };
    Annotation::read(&raw(body), beside, UNIX_EPOCH).unwrap()
}

#[test]
fn keys_are_label_studios_without_its_double_slash() {
    let annotation = annotation(r#"{"id": 345, "result": [], "task": 12, "project": 7}"#, "");
    for (prefix, layout, want) in [
        ("", "annotation", "345"),
        ("p", "annotation", "p/345"),
        ("p/", "annotation", "p/345"),
        ("p//", "annotation", "p/345"),
        ("p/q", "annotation.json", "p/q/345.json"),
        ("out", "{project}/{task}/{annotation}.json", "out/7/12/345.json"),
    ] {
        let settings = Settings {
            prefix: Some(prefix.to_owned()),
            layout: Layout::parse(layout).unwrap(),
            ..Settings::default()
        };
        let key = annotation_key(&settings, &annotation).unwrap();
        assert_eq!(key.as_str(), want, "{prefix:?} {layout}");
    }
    let settings = Settings { layout: Layout::parse("task").unwrap(), ..Settings::default() };
    assert_eq!(task_key(&settings, "12", "").unwrap().as_str(), "12.json");
}

/// What a webhook brings becomes what Label Studio itself would write.
#[test]
fn an_annotation_has_label_studios_keys_in_its_order() {
    let sent = annotation(
        r#"{"project": 7, "task": 12, "completed_by": 3, "extra": 1.10, "result": [{"v": 1e2}], "id": 345,
            "updated_at": "2026-11-24T10:00:00Z", "unique_id": "u"}"#,
        r#"{"data": {"image": "s3://b/k"}, "id": 12, "odd": [], "meta": null}"#,
    );
    assert_eq!(
        annotation_body(&sent, &People::new()),
        r#"{"id":345,"result":[{"v": 1e2}],"completed_by":{"id":3},"task":{"id":12,"data":{"image": "s3://b/k"},"meta":null,"odd":[]},"updated_at":"2026-11-24T10:00:00Z","project":7,"extra":1.10}"#
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let sent = annotation(
        r#"{"id": "a\"b", "result": [], "task": "t", "completed_by": {"id": 1, "email": "e"}}"#,
        "",
    );
    assert_eq!(
        annotation_body(&sent, &People::new()),
        r#"{"id":"a\"b","result":[],"completed_by":{"id": 1, "email": "e"},"task":"t"}"#
    );
    let of_task = annotation(r#"{"id": 1, "result": [], "task": 2}"#, r#"{"id": 2, "project": 9}"#);
    assert_eq!(
        annotation_body(&of_task, &People::new()),
        r#"{"id":1,"result":[],"task":{"id":2,"project":9},"project":9}"#,
        "the project of its task"
    );
}

#[test]
fn a_task_has_all_of_its_annotations_and_can_be_imported() {
    let first = annotation(
        r#"{"id": 1, "result": [], "task": 12, "completed_by": 3, "updated_at": "2026-11-24T11:00:00Z"}"#,
        "",
    );
    let second = annotation(
        r#"{"id": 2, "result": [1], "task": 12, "updated_at": "2026-11-24T10:00:00Z"}"#,
        r#"{"id": 12, "data": {"image": "s3://b/k"}, "project": 7}"#,
    );
    assert_eq!(
        task_body(&[first, second], &People::new()).unwrap(),
        r#"{"id":12,"annotations":[{"id":1,"completed_by":{"id":3},"result":[],"updated_at":"2026-11-24T11:00:00Z","task":12},{"id":2,"result":[1],"updated_at":"2026-11-24T10:00:00Z","task":12}],"drafts":[],"predictions":[],"data":{"image": "s3://b/k"},"project":7}"#
    );
    assert!(task_body(&[], &People::new()).is_none());
}

/// Label Studio writes the name with the space of a first name that is not there.
#[test]
fn somebody_who_is_known_is_named() {
    let body = r#"{"id": 1, "result": [], "task": 12, "completed_by": 3}"#;
    let sent = annotation(body, "");
    assert_eq!(person(&sent.body).as_deref(), Some("3"));
    for (first, last, username) in
        [("Ann", "Lee", "Ann Lee a@b.c, 3"), ("Ann", "", "Ann a@b.c, 3"), ("", "", " a@b.c, 3")]
    {
        let text = str::to_owned;
        let ann =
            Person { id: text("3"), first_name: text(first), last_name: text(last), email: text("a@b.c") };
        let people = People::from([(text("3"), ann)]);
        let by = format!(
            r#""completed_by":{{"id":3,"first_name":"{first}","last_name":"{last}","email":"a@b.c"}}"#
        );
        assert_eq!(
            annotation_body(&sent, &people),
            format!(r#"{{"id":1,"result":[],"created_username":"{username}",{by},"task":12}}"#)
        );
        let by = format!(
            r#""completed_by":{{"id":3,"email":"a@b.c","first_name":"{first}","last_name":"{last}"}}"#
        );
        let of_task = task_body(std::slice::from_ref(&sent), &people).unwrap();
        assert!(of_task.contains(&format!(r#"[{{"id":1,{by},"result":[],"task":12}}]"#)), "{of_task}");
    }
    let told = annotation(r#"{"id": 1, "result": [], "task": 2, "completed_by": {"id": 3}}"#, "");
    assert_eq!(person(&told.body), None, "who is told of is not asked for");
}
