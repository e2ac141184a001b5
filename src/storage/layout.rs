//! Where annotations go in a target: the key under the prefix, and what one object stands for.
//!
//! Every layout is a template with placeholders in braces; three have names. With `{annotation}` an object is one
//! annotation, without it is one task with all of its annotations. A segment between slashes has at most one
//! placeholder, and what is filled in has no slash, so that two annotations never share a key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The key of an object under the prefix, as a template.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Layout(Arc<str>);

/// What one object stands for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// One annotation, with its task.
    Annotation,
    /// One task, with all of its annotations.
    Task,
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The project; empty where there is none.
    pub project: &'a str,
    /// The task.
    pub task: &'a str,
    /// The annotation; empty where the object is a task.
    pub annotation: &'a str,
}

/// Why a text is not a layout.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseLayoutError {
    /// It names no annotation and no task.
    #[error(
        "Not a layout: it is \"annotation\", \"annotation.json\", \"task\", or a template with {{annotation}} or \
         {{task}} in it, such as {{project}}/{{task}}/{{annotation}}.json."
    )]
    Nameless,
    /// Braces around something else.
    #[error("A template has the placeholders {{project}}, {{task}} and {{annotation}}, and no other braces.")]
    Placeholder,
    /// Two placeholders that could run into each other.
    #[error("Put a slash between placeholders, so that two annotations never get one key.")]
    Adjoining,
    /// No key begins so, or is so long.
    #[error("A template begins with no slash, has no empty, \".\" or \"..\" segment, and at most 256 bytes.")]
    Segment,
}

impl Layout {
    /// Parses one of the three names, or a template.
    pub fn parse(text: &str) -> Result<Self, ParseLayoutError> {
        let template = match text {
            "annotation" => "{annotation}",
            "annotation.json" => "{annotation}.json",
            "task" => "{task}.json",
            template => template,
        };
        if template.len() > MAX_LEN {
            return Err(ParseLayoutError::Segment);
        }
        for segment in template.split('/') {
            check(segment)?;
        }
        if template.contains(ANNOTATION) || template.contains(TASK) {
            Ok(Self(template.into()))
        } else {
            Err(ParseLayoutError::Nameless)
        }
    }

    /// The name where it has one, or the template.
    pub fn as_str(&self) -> &str {
        match &*self.0 {
            "{annotation}" => "annotation",
            "{annotation}.json" => "annotation.json",
            "{task}.json" => "task",
            template => template,
        }
    }

    /// What one object stands for.
    pub fn unit(&self) -> Unit {
        if self.0.contains(ANNOTATION) { Unit::Annotation } else { Unit::Task }
    }

    /// The key under the prefix.
    pub fn fill(&self, names: Names<'_>) -> String {
        let project = if names.project.is_empty() { NO_PROJECT } else { names.project };
        let mut key = self.0.replace(PROJECT, &segment(project));
        key = key.replace(TASK, &segment(names.task));
        key.replace(ANNOTATION, &segment(names.annotation))
    }
}

impl Unit {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Task => "task",
        }
    }
}

/// Label Studio's.
impl Default for Layout {
    fn default() -> Self {
        Self(ANNOTATION.into())
    }
}

impl TryFrom<String> for Layout {
    type Error = ParseLayoutError;

    fn try_from(text: String) -> Result<Self, ParseLayoutError> {
        Self::parse(&text)
    }
}

impl From<Layout> for String {
    fn from(layout: Layout) -> Self {
        layout.as_str().to_owned()
    }
}

fn check(segment: &str) -> Result<(), ParseLayoutError> {
    if matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control) {
        return Err(ParseLayoutError::Segment);
    }
    let placeholders: usize =
        [PROJECT, TASK, ANNOTATION].iter().map(|name| segment.matches(name).count()).sum();
    let braces = segment.matches(['{', '}']).count();
    match placeholders {
        _ if braces != 2 * placeholders => Err(ParseLayoutError::Placeholder),
        0 | 1 => Ok(()),
        _ => Err(ParseLayoutError::Adjoining),
    }
}

/// A name as one segment: what would end it, or mean something to whoever fills it in, is written in percent.
fn segment(name: &str) -> String {
    match name {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        name => {
            let escaped = name.replace('%', "%25").replace('/', "%2F");
            escaped.replace('{', "%7B").replace('}', "%7D")
        }
    }
}

const PROJECT: &str = "{project}";
const TASK: &str = "{task}";
const ANNOTATION: &str = "{annotation}";
const NO_PROJECT: &str = "none";
const MAX_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names { project: "7", task: "12", annotation: "345" };

    #[test]
    fn layouts_make_keys() {
        for (text, unit, key) in [
            ("annotation", Unit::Annotation, "345"),
            ("annotation.json", Unit::Annotation, "345.json"),
            ("task", Unit::Task, "12.json"),
            ("{project}/{task}/{annotation}.json", Unit::Annotation, "7/12/345.json"),
            ("p-{project}/{task}.json", Unit::Task, "p-7/12.json"),
        ] {
            let layout = Layout::parse(text).unwrap();
            assert_eq!((layout.unit(), layout.fill(NAMES).as_str()), (unit, key), "{text}");
            assert_eq!(layout.as_str(), text);
            let kept: Layout = serde_json::from_str(&serde_json::to_string(&layout).unwrap()).unwrap();
            assert_eq!(kept, layout, "{text}");
        }
        assert_eq!(Layout::default().as_str(), "annotation");
    }

    #[test]
    fn what_could_share_or_break_a_key_is_refused() {
        for (text, want) in [
            ("", ParseLayoutError::Segment),
            ("x.json", ParseLayoutError::Nameless),
            ("{project}", ParseLayoutError::Nameless),
            ("{annotations}", ParseLayoutError::Placeholder),
            ("{task}/{annotation", ParseLayoutError::Placeholder),
            ("{task}-{annotation}", ParseLayoutError::Adjoining),
            ("{task}{task}", ParseLayoutError::Adjoining),
            ("/{annotation}", ParseLayoutError::Segment),
            ("a//{annotation}", ParseLayoutError::Segment),
            ("../{annotation}", ParseLayoutError::Segment),
            ("{annotation}/", ParseLayoutError::Segment),
        ] {
            assert_eq!(Layout::parse(text), Err(want), "{text:?}");
        }
    }

    #[test]
    fn names_stay_in_their_segment() {
        let layout = Layout::parse("{task}/{annotation}").unwrap();
        for (task, annotation, key) in [
            ("a/b", "c", "a%2Fb/c"),
            ("a", "b/c", "a/b%2Fc"),
            ("..", ".", "%2E%2E/%2E"),
            ("{annotation}", "x%2F", "%7Bannotation%7D/x%252F"),
        ] {
            assert_eq!(layout.fill(Names { project: "", task, annotation }), key, "{task} {annotation}");
        }
    }
}
