//! The claims of a token, typed. Unknown ones are ignored, known ones of the wrong type are errors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;

use super::{error::Error, grant::ForcedDelivery, json::Json, network::parse_network, token::decode_object};
use crate::{
    id::{ProjectId, TaskId},
    object::ObjectPattern,
};

/// What a token claims, before its times, issuer and audience are judged.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) expires_at: SystemTime,
    pub(super) not_before: Option<SystemTime>,
    pub(super) issued_at: Option<SystemTime>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) subject: Option<String>,
    pub(super) token_id: Option<String>,
    pub(super) task: Option<TaskId>,
    pub(super) project: Option<ProjectId>,
    pub(super) objects: Option<Vec<ObjectPattern>>,
    pub(super) networks: Option<Vec<IpNet>>,
    pub(super) delivery: Option<ForcedDelivery>,
}

impl Claims {
    /// Reads the second part of a token.
    pub(super) fn parse(part: &str) -> Result<Self, Error> {
        let mut claims = Self::empty();
        let mut expires_at = None;
        for (name, value) in decode_object(part)? {
            match name.as_str() {
                "exp" => expires_at = time(&value),
                "nbf" => claims.not_before = Some(time(&value).ok_or(Error::ClaimInvalid("nbf"))?),
                "iat" => claims.issued_at = Some(time(&value).ok_or(Error::ClaimInvalid("iat"))?),
                "iss" => claims.issuer = Some(text(value).ok_or(Error::ClaimInvalid("iss"))?),
                "aud" => claims.audience = audience(value).ok_or(Error::ClaimInvalid("aud"))?,
                "sub" => claims.subject = Some(name_text(value).ok_or(Error::ClaimInvalid("sub"))?),
                "jti" => claims.token_id = Some(name_text(value).ok_or(Error::ClaimInvalid("jti"))?),
                "task" => claims.task = Some(task(value).ok_or(Error::ClaimInvalid("task"))?),
                "project" => claims.project = Some(project(value).ok_or(Error::ClaimInvalid("project"))?),
                "objects" => claims.objects = Some(objects(value).ok_or(Error::ClaimInvalid("objects"))?),
                "ip" => claims.networks = Some(networks(value).ok_or(Error::ClaimInvalid("ip"))?),
                "delivery" => claims.delivery = Some(delivery(value).ok_or(Error::ClaimInvalid("delivery"))?),
                _ => {}
            }
        }
        claims.expires_at = expires_at.ok_or(Error::ClaimInvalid("exp"))?;
        Ok(claims)
    }

    fn empty() -> Self {
        Self {
            expires_at: UNIX_EPOCH,
            not_before: None,
            issued_at: None,
            issuer: None,
            audience: Vec::new(),
            subject: None,
            token_id: None,
            task: None,
            project: None,
            objects: None,
            networks: None,
            delivery: None,
        }
    }
}

/// Whole seconds since 1970, at most 2^53: an integer that every JSON reader reads alike.
fn time(value: &Json) -> Option<SystemTime> {
    match value {
        Json::Unsigned(seconds) if *seconds <= MAX_SECONDS => {
            UNIX_EPOCH.checked_add(Duration::from_secs(*seconds))
        }
        _ => None,
    }
}

fn text(value: Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

/// A text that goes to logs.
fn name_text(value: Json) -> Option<String> {
    text(value).filter(|text| (1..=MAX_NAME_LEN).contains(&text.len()) && !text.chars().any(char::is_control))
}

/// The texts of a list; `None` when it is longer than that or has something else in it.
fn texts(value: Json, most: usize) -> Option<Vec<String>> {
    match value {
        Json::List(list) if list.len() <= most => list.into_iter().map(text).collect(),
        _ => None,
    }
}

fn audience(value: Json) -> Option<Vec<String>> {
    match value {
        Json::Text(one) => Some(vec![one]),
        list => texts(list, MAX_AUDIENCES),
    }
}

fn id_text(value: Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text),
        Json::Unsigned(number) => Some(number.to_string()),
        _ => None,
    }
}

fn task(value: Json) -> Option<TaskId> {
    TaskId::parse(&id_text(value)?).ok()
}

fn project(value: Json) -> Option<ProjectId> {
    ProjectId::parse(&id_text(value)?).ok()
}

fn objects(value: Json) -> Option<Vec<ObjectPattern>> {
    texts(value, MAX_OBJECTS)?.iter().map(|text| ObjectPattern::parse(text).ok()).collect()
}

fn networks(value: Json) -> Option<Vec<IpNet>> {
    texts(value, MAX_NETWORKS)?.iter().map(|text| parse_network(text)).collect()
}

fn delivery(value: Json) -> Option<ForcedDelivery> {
    text(value)?.parse().ok()
}

const MAX_SECONDS: u64 = 1 << 53;
const MAX_NAME_LEN: usize = 512;
const MAX_AUDIENCES: usize = 64;
pub(super) const MAX_OBJECTS: usize = 1000;
pub(super) const MAX_NETWORKS: usize = 100;
