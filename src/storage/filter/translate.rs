//! A parsed expression, written for `fancy_regex` so that no two readings are possible.

use super::{
    parse::Parsed,
    set::write_set,
    syntax::{At, Class, ClassKind, Fold, Greed, Look, Node, Repeat, Set},
};

/// Where `$` without `(?m)` matches in the keys that are meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The key ends in no newline, so it is only the end.
    Text,
    /// The key ends in a newline, and it is also the place before that.
    FinalNewline,
}

/// Writes the expression, anchored at the beginning of the text as a whole.
pub(super) fn translate(parsed: &Parsed, end: End) -> String {
    let mut writer = Writer { out: String::from("\\A(?:"), end, parsed };
    writer.node(&parsed.root);
    writer.out.push(')');
    writer.out
}

/// Writes a character so that it has no meaning but itself.
pub(super) fn write_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric()) {
        out.push(c);
    } else {
        out.extend(c.escape_unicode());
    }
}

struct Writer<'a> {
    out: String,
    end: End,
    parsed: &'a Parsed,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Literal(c, Fold::No) => write_char(&mut self.out, *c),
            Node::Literal(c, fold) => self.folded(*c, *fold),
            Node::Any { newline: true } => self.out.push_str("(?s:.)"),
            Node::Any { newline: false } => self.out.push_str("[^\\n]"),
            Node::Set(set) => write_set(&mut self.out, set),
            Node::At(at) => self.at(*at),
            Node::Sequence(items) => items.iter().for_each(|item| self.node(item)),
            Node::Either(items) => self.either(items),
            Node::Capture(body) => self.group("(", body),
            Node::Plain(body) => self.group("(?:", body),
            Node::Atomic(body) => self.group("(?>", body),
            Node::Look(look, body) => self.group(opening(*look), body),
            Node::Repeat(repeat, body) => self.repeat(*repeat, body),
            Node::Reference(group) => self.push(&format!("(?:\\{group})")),
            Node::Condition(group, yes, no) => self.condition(*group, yes, no),
        }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn folded(&mut self, c: char, fold: Fold) {
        let set = Set { negated: false, fold, ranges: vec![(c, c)], classes: Vec::new() };
        write_set(&mut self.out, &set);
    }

    fn group(&mut self, opening: &str, body: &Node) {
        self.push(opening);
        self.node(body);
        self.push(")");
    }

    fn either(&mut self, items: &[Node]) {
        self.push("(?:");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push("|");
            }
            self.node(item);
        }
        self.push(")");
    }

    fn at(&mut self, at: At) {
        match (at, self.end) {
            (At::TextStart, _) => self.push("\\A"),
            (At::LineStart, _) => self.push("(?m:^)"),
            (At::LineEnd, _) => self.push("(?m:$)"),
            (At::TextEnd, _) | (At::End, End::Text) => self.push("\\z"),
            (At::End, End::FinalNewline) => self.push("(?:\\z|(?=\\n\\z))"),
            (At::Boundary { ascii, negated }, _) => self.boundary(ascii, negated),
        }
    }

    /// Python's words are of letters, numbers and `_`; the engine's own also have marks.
    fn boundary(&mut self, ascii: bool, negated: bool) {
        let mut word = String::new();
        let class = Class { kind: ClassKind::Word, ascii, negated: false };
        let set = Set { negated: false, fold: Fold::No, ranges: Vec::new(), classes: vec![class] };
        write_set(&mut word, &set);
        // Until Python 3.14 `\B` does not match in an empty text.
        self.push(&if negated {
            format!("(?!\\A\\z)(?:(?<={word})(?={word})|(?<!{word})(?!{word}))")
        } else {
            format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))")
        });
    }

    fn repeat(&mut self, repeat: Repeat, body: &Node) {
        if body.width(&self.parsed.groups).max == 0 {
            return self.repeat_of_nothing(repeat, body);
        }
        self.group("(?:", body);
        let Repeat { min, max, greed } = repeat;
        let max = max.map(|max| max.to_string()).unwrap_or_default();
        self.push(&format!("{{{min},{max}}}"));
        self.push(match greed {
            Greed::Greedy => "",
            Greed::Lazy => "?",
            Greed::Possessive => "+",
        });
    }

    /// What takes no character is done once or not at all. The engine does not repeat a place.
    fn repeat_of_nothing(&mut self, repeat: Repeat, body: &Node) {
        match (repeat.max, repeat.min, repeat.greed) {
            (Some(0), ..) => self.push("(?:)"),
            (_, 0, Greed::Lazy) => self.group("(?:|", body),
            (_, 0, greed) => {
                self.push(if greed == Greed::Possessive { "(?>" } else { "(?:" });
                self.node(body);
                self.push("|)");
            }
            (_, _, Greed::Possessive) => self.group("(?>", body),
            _ => self.group("(?:", body),
        }
    }

    fn condition(&mut self, group: usize, yes: &Node, no: &Node) {
        self.push(&format!("(?({group})"));
        self.group("(?:", yes);
        self.push("|");
        self.group("(?:", no);
        self.push(")");
    }
}

fn opening(look: Look) -> &'static str {
    match (look.behind, look.negated) {
        (false, false) => "(?=",
        (false, true) => "(?!",
        (true, false) => "(?<=",
        (true, true) => "(?<!",
    }
}
