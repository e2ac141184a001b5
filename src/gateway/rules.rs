//! Redirect or stream: the storage's rules.
//!
//! The first rule whose every condition holds decides; where none does, the object is streamed, since a stream
//! works for every client and a redirect only for those that reach the bucket. Conditions on size and type need
//! the object's metadata, which is asked for only when the decision comes to such a rule.

use crate::{
    access::{ClientIp, Networks},
    storage::{Mode, RuleConfig},
};

/// The parsed rules of one storage.
#[derive(Debug)]
pub struct Rules {
    rules: Box<[Rule]>,
}

#[derive(Debug)]
struct Rule {
    networks: Option<Networks>,
    min_size: u64,
    max_size: u64,
    content_types: Box<[String]>,
    delivery: Mode,
}

/// What a rule may ask about an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectFacts {
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, as the gateway would send it.
    pub content_type: Box<str>,
}

/// What the rules say as far as they could be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// This.
    Decided(Mode),
    /// It depends on the object's size or type.
    NeedsFacts,
}

impl Rules {
    /// Takes the rules in their order.
    pub fn new(config: &[RuleConfig]) -> Self {
        Self { rules: config.iter().map(Rule::new).collect() }
    }

    /// Judges the rules in order, without facts or with them.
    pub fn decide(&self, client: ClientIp, facts: Option<&ObjectFacts>) -> Decision {
        for rule in self.rules.iter().filter(|rule| rule.admits(client)) {
            match (rule.needs_facts(), facts) {
                (false, _) => return Decision::Decided(rule.delivery),
                (true, None) => return Decision::NeedsFacts,
                (true, Some(facts)) if rule.fits(facts) => return Decision::Decided(rule.delivery),
                (true, Some(_)) => {}
            }
        }
        Decision::Decided(Mode::Stream)
    }
}

impl Rule {
    fn new(config: &RuleConfig) -> Self {
        Self {
            networks: (!config.networks.is_empty()).then(|| Networks::new(&config.networks)),
            min_size: config.min_size.map_or(0, |size| size.as_u64()),
            max_size: config.max_size.map_or(u64::MAX, |size| size.as_u64()),
            content_types: config.content_types.iter().map(|pattern| pattern.to_ascii_lowercase()).collect(),
            delivery: config.delivery,
        }
    }

    fn admits(&self, client: ClientIp) -> bool {
        self.networks.as_ref().is_none_or(|networks| networks.contains(client.ip()))
    }

    fn needs_facts(&self) -> bool {
        self.min_size > 0 || self.max_size < u64::MAX || !self.content_types.is_empty()
    }

    fn fits(&self, facts: &ObjectFacts) -> bool {
        (self.min_size..=self.max_size).contains(&facts.size)
            && (self.content_types.is_empty()
                || self.content_types.iter().any(|pattern| type_fits(pattern, &facts.content_type)))
    }
}

fn type_fits(pattern: &str, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match pattern.strip_suffix('*') {
        Some(family) => essence.starts_with(family),
        None => essence == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{ForwardedHeader, TrustedProxies, client_ip};

    #[test]
    fn the_first_rule_that_fits_decides() {
        #[derive(serde::Deserialize)]
        struct Table {
            rules: Vec<RuleConfig>,
        }
        let table: Table =
            figment::Figment::from(<figment::providers::Toml as figment::providers::Format>::string(
                r#"
            [[rules]]
            networks = ["10.0.0.0/8"]
            delivery = "redirect"
            [[rules]]
            max_size = "64 KiB"
            content_types = ["image/*"]
            delivery = "stream"
            [[rules]]
            content_types = ["video/mp4"]
            delivery = "redirect"
            "#,
            ))
            .extract()
            .unwrap();
        let rules = Rules::new(&table.rules);
        let trusted = TrustedProxies::new(&[], ForwardedHeader::default());
        let fact = |size, content_type: &str| Some(ObjectFacts { size, content_type: content_type.into() });
        for (client, facts, want) in [
            ("10.1.2.3", None, Decision::Decided(Mode::Redirect)),
            ("::ffff:10.1.2.3", None, Decision::Decided(Mode::Redirect)),
            ("192.0.2.1", None, Decision::NeedsFacts),
            ("192.0.2.1", fact(65_536, "image/png"), Decision::Decided(Mode::Stream)),
            ("192.0.2.1", fact(65_537, "image/png"), Decision::Decided(Mode::Stream)),
            ("192.0.2.1", fact(9, "Video/MP4; codecs=x"), Decision::Decided(Mode::Redirect)),
            ("192.0.2.1", fact(9, "video/webm"), Decision::Decided(Mode::Stream)),
        ] {
            let ip = client_ip(client.parse().unwrap(), &http::HeaderMap::new(), &trusted).unwrap();
            assert_eq!(rules.decide(ip, facts.as_ref()), want, "{client} {facts:?}");
        }
    }
}
