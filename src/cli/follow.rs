//! A running gateway's control port, as far as commands ask it.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    reachable,
    sync::{Told, admin_token},
};
use crate::{config::Config, run::Job};

/// Asks the gateway of a configuration.
pub(super) struct Follow {
    admin: String,
    token: SecretString,
}

impl Follow {
    pub(super) fn new(config: &Config, token_file: Option<&Path>) -> anyhow::Result<Self> {
        let address = reachable(config.admin.listen);
        Ok(Self { admin: format!("http://{address}"), token: admin_token(config, token_file)? })
    }

    /// Asks for a run.
    pub(super) async fn start(&self, storage: &str, job: Job) -> anyhow::Result<Told> {
        let body = json!({ "storage": storage, "job": job }).to_string();
        told(&self.ask(Method::POST, "/api/runs", body).await?)
    }

    /// Looks at a run.
    pub(super) async fn run(&self, id: i64) -> anyhow::Result<Told> {
        told(&self.ask(Method::GET, &format!("/api/runs/{id}?faults=0"), String::new()).await?)
    }

    /// What was refused in a run; the first ones.
    pub(super) async fn faults(&self, id: i64) -> anyhow::Result<Vec<String>> {
        let run = self.ask(Method::GET, &format!("/api/runs/{id}?faults=20"), String::new()).await?;
        let faults: Vec<crate::run::Fault> = serde_json::from_value(run["faults"].clone())
            .context("the gateway answers otherwise than expected")?;
        Ok(faults.iter().map(ToString::to_string).collect())
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<Value> {
        let uri: Uri = format!("{}{path}", self.admin).parse()?;
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token.expose_secret()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let answer = answer
            .context("the gateway is silent")?
            .with_context(|| format!("a gateway has the database, but none answers at {}", self.admin))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the gateway's answer broke off: {error}"))?;
        let value: Value = serde_json::from_slice(&body.to_bytes()).context("the gateway answers no JSON")?;
        if !status.is_success() {
            bail!("the gateway refuses: {}", value["detail"].as_str().unwrap_or("without a reason"));
        }
        Ok(value)
    }
}

fn told(run: &Value) -> anyhow::Result<Told> {
    let count = |name: &str| run["counters"][name].as_i64().unwrap_or_default();
    Ok(Told {
        id: run["id"].as_i64().context("the gateway answers otherwise than expected")?,
        status: run["status"].as_str().unwrap_or_default().to_owned(),
        listed: count("listed"),
        created: count("created"),
        updated: count("updated"),
        existed: count("existed"),
        changed: count("changed"),
        vanished: count("vanished"),
        failed: count("failed"),
        error: run["error"].as_str().map(str::to_owned),
    })
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;
