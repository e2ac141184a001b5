//! Who Label Studio takes somebody for.

use serde::Deserialize;

use super::{Answer, Client, ClientError, Credentials};

/// An account, as `/api/current-user/whoami` tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    /// Its number.
    pub(super) id: u64,
    email: Option<String>,
    /// What it may; Label Studio lists all there is for everybody, and its paid editions what the role may.
    pub(super) permissions: Option<Vec<String>>,
}

impl Account {
    /// Asks on behalf of whoever sent these credentials. The answer's status is for the caller to judge.
    pub(super) async fn ask(client: &Client, credentials: &Credentials) -> Result<Answer, ClientError> {
        client.get_as("/api/current-user/whoami", credentials).await
    }

    /// Reads an answer that was a success.
    pub(super) fn read(answer: &Answer) -> Result<Self, ClientError> {
        answer.json("the caller's account")
    }

    /// The e-mail address, where it can stand in a token and in the log.
    pub(super) fn email(&self) -> Option<&str> {
        let is_name =
            |text: &&str| (1..=MAX_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control);
        self.email.as_deref().filter(is_name)
    }
}

/// The longest `sub` of a token.
const MAX_SUBJECT: usize = 512;
