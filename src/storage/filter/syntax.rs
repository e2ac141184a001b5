//! A parsed expression, with all flags resolved.

/// One piece of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(char, Fold),
    /// `.`, by `(?s)` a newline too.
    Any {
        newline: bool,
    },
    Set(Set),
    At(At),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Capture(Box<Node>),
    /// `(?:...)`, also with flags.
    Plain(Box<Node>),
    Atomic(Box<Node>),
    Look(Look, Box<Node>),
    Repeat(Repeat, Box<Node>),
    /// The text of a group again.
    Reference(usize),
    /// `(?(1)yes|no)`.
    Condition(usize, Box<Node>, Box<Node>),
}

/// Whether case matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fold {
    No,
    Ascii,
    Unicode,
}

/// A place, not a character.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum At {
    TextStart,
    LineStart,
    /// `$`: the end, or before a newline there.
    End,
    LineEnd,
    /// `\Z`.
    TextEnd,
    Boundary {
        ascii: bool,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) behind: bool,
    pub(super) negated: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    pub(super) min: u32,
    /// Absent: without end.
    pub(super) max: Option<u32>,
    pub(super) greed: Greed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// `[...]`, or a class on its own.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) negated: bool,
    pub(super) fold: Fold,
    pub(super) ranges: Vec<(char, char)>,
    pub(super) classes: Vec<Class>,
}

/// `\d`, `\w`, `\s` and their opposites.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Class {
    pub(super) kind: ClassKind,
    pub(super) ascii: bool,
    pub(super) negated: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ClassKind {
    Digit,
    Word,
    Space,
}

/// How many characters a piece takes, at least and at most, as `getwidth` of Python's parser counts them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Width {
    pub(super) min: u64,
    pub(super) max: u64,
}

/// Flags of an expression or of a part of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const IGNORE_CASE: Self = Self(1);
    pub(super) const MULTI_LINE: Self = Self(2);
    pub(super) const DOT_ALL: Self = Self(4);
    pub(super) const VERBOSE: Self = Self(8);
    pub(super) const ASCII: Self = Self(16);
    pub(super) const UNICODE: Self = Self(32);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn fold(self) -> Fold {
        match (self.has(Self::IGNORE_CASE), self.has(Self::ASCII)) {
            (false, _) => Fold::No,
            (true, true) => Fold::Ascii,
            (true, false) => Fold::Unicode,
        }
    }
}

impl Node {
    /// The width, given those of the groups so far.
    pub(super) fn width(&self, groups: &[Option<Width>]) -> Width {
        match self {
            Self::Literal(..) | Self::Any { .. } | Self::Set(_) => Width::ONE,
            Self::At(_) | Self::Look(..) => Width::NONE,
            Self::Sequence(items) => items.iter().fold(Width::NONE, |sum, item| sum.then(item.width(groups))),
            Self::Either(items) => {
                items.iter().map(|item| item.width(groups)).reduce(Width::or).unwrap_or(Width::NONE)
            }
            Self::Capture(body) | Self::Plain(body) | Self::Atomic(body) => body.width(groups),
            Self::Repeat(repeat, body) => body.width(groups).times(*repeat),
            Self::Reference(group) => groups.get(*group).copied().flatten().unwrap_or(Width::NONE),
            Self::Condition(_, yes, no) => yes.width(groups).or(no.width(groups)),
        }
    }
}

impl Width {
    const NONE: Self = Self { min: 0, max: 0 };
    const ONE: Self = Self { min: 1, max: 1 };

    fn then(self, next: Self) -> Self {
        Self { min: self.min.saturating_add(next.min), max: self.max.saturating_add(next.max) }
    }

    fn or(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    fn times(self, repeat: Repeat) -> Self {
        let max = match repeat.max {
            None if self.max > 0 => u64::MAX,
            None => 0,
            Some(max) => self.max.saturating_mul(max.into()),
        };
        Self { min: self.min.saturating_mul(repeat.min.into()), max }
    }
}
