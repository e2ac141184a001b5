//! Who the people of Label Studio are. What was written with an older name of somebody stays as it is.

use std::{collections::HashMap, time::Duration};

use http::StatusCode;
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Asker, Error};
use crate::{annotation::Person, label_studio::ClientError, store::Store};

/// Whom Label Studio was asked about in vain.
#[derive(Default)]
pub(super) struct Acquaintance(Mutex<Vain>);

#[derive(Default)]
struct Vain {
    /// Until when nobody is asked about, since Label Studio does not answer.
    until: Option<Instant>,
    /// Whom it did not know, and when.
    unknown: HashMap<String, Instant>,
}

#[derive(Deserialize)]
struct User {
    id: i64,
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
    #[serde(default)]
    email: String,
}

impl Acquaintance {
    /// Asks about somebody whom the store does not know, one question at a time and for a moment only.
    pub(super) async fn ask(&self, asker: &Asker, store: &Store, number: &str) -> Option<Person> {
        number.parse::<i64>().ok()?;
        let mut vain = self.0.lock().await;
        let now = Instant::now();
        if vain.until.is_some_and(|until| now < until) {
            return None;
        }
        vain.unknown.retain(|_, asked| now.duration_since(*asked) < UNKNOWN_FOR);
        if vain.unknown.contains_key(number) {
            return None;
        }
        // Others may have asked while this waited.
        let known = store.people(&[number.to_owned()]).await.ok()?;
        if let Some(person) = known.into_iter().next() {
            return Some(person);
        }
        match timeout(PATIENCE, user(asker, number)).await {
            Ok(Ok(Some(person))) => {
                if let Err(error) = store.learn_people(std::slice::from_ref(&person)).await {
                    tracing::debug!(%error, "somebody is not put down yet");
                }
                Some(person)
            }
            Ok(Ok(None)) => {
                vain.unknown.insert(number.to_owned(), now);
                None
            }
            Ok(Err(_)) | Err(_) => {
                vain.until = Some(Instant::now() + REST);
                None
            }
        }
    }
}

/// Puts down everybody who is new or has another name, and makes due what waited for them.
pub(super) async fn refresh(asker: &Asker, store: &Store) -> Result<(), Error> {
    let users: Vec<User> = asker.get("/api/users/").await?.json("a list of users")?;
    let people: Vec<Person> = users.into_iter().filter_map(User::into_person).collect();
    let ids: Vec<String> = people.iter().map(|person| person.id.clone()).collect();
    let known = store.people(&ids).await?;
    let other: Vec<Person> = people.into_iter().filter(|person| !known.contains(person)).collect();
    let due = store.learn_people(&other).await?;
    if due > 0 {
        tracing::info!(objects = due, "objects are written again with the names of who made them");
    }
    Ok(())
}

async fn user(asker: &Asker, number: &str) -> Result<Option<Person>, ClientError> {
    let answer = asker.get(&format!("/api/users/{number}/")).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Ok(answer.json::<User>("a user")?.into_person())
}

impl User {
    /// Who was removed has the name and the address "Deleted" there; the name from before is the better one.
    fn into_person(self) -> Option<Person> {
        let Self { id, first_name, last_name, email } = self;
        email.contains('@').then(|| Person { id: id.to_string(), first_name, last_name, email })
    }
}

/// How long an export waits for a name.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody is asked about after that.
const REST: Duration = Duration::from_secs(30);
/// How long somebody is taken for unknown whom Label Studio did not know.
const UNKNOWN_FOR: Duration = Duration::from_mins(5);
