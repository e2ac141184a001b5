//! Credentials of a role, from a token service that the test plays.

use std::time::Duration;

use mediagate::{
    object::ObjectKey,
    s3::{
        Connection, ConnectionConfig, CredentialsConfig, CredentialsFailure, Error, PresignMethod,
        PresignRequest, PresignedUrl, Timeouts,
    },
};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::support::{
    clock,
    s3::{config, connect_observed},
    sts::{
        Answer::{Grant, Refuse, Silence},
        EXTERNAL_ID, ROLE, Sts,
    },
};

const HOUR: Duration = Duration::from_hours(1);

fn with_role(sts_endpoint: String, external_id: Option<&str>) -> ConnectionConfig {
    let mut config = config("http://127.0.0.1:1", "media");
    config.timeouts = Timeouts { first_byte: Duration::from_millis(200), ..Timeouts::default() };
    config.credentials = CredentialsConfig::AssumeRole {
        role_arn: ROLE.to_owned(),
        external_id: external_id.map(str::to_owned),
        sts_endpoint: Some(sts_endpoint),
        base: Box::new(config.credentials),
    };
    config
}

async fn connect(sts: &Sts, external_id: Option<&str>) -> (Connection, Registry) {
    connect_observed(with_role(sts.url(), external_id)).await
}

fn presign(media: &Connection, ttl: Duration) -> Result<PresignedUrl, Error> {
    let now = clock();
    let request = PresignRequest {
        method: PresignMethod::Get,
        key: &ObjectKey::parse("a").unwrap(),
        ttl,
        not_after: now + ttl,
        content_type: None,
        content_disposition: None,
    };
    media.presign(&request, now)
}

/// The value of a family for one label, where it is not zero.
fn metric(registry: &Registry, name: &str, label: &str) -> Option<f64> {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    let metric = family
        .get_metric()
        .iter()
        .find(|metric| metric.get_label().iter().any(|pair| pair.value() == label))?;
    Some(metric.get_counter().get_value() + metric.get_gauge().get_value()).filter(|value| *value > 0.0)
}

fn failures(registry: &Registry, reason: &str) -> Option<f64> {
    metric(registry, "mediagate_s3_credentials_failures_total", reason)
}

#[tokio::test]
async fn a_role_signs_with_its_token_and_to_its_end() {
    let mut sts = Sts::start([]).await;
    let (media, registry) = connect(&sts, Some(EXTERNAL_ID)).await;
    let url = presign(&media, HOUR * 2).unwrap();
    assert!(url.expose().contains("X-Amz-Credential=ASIAROLE%2F"), "{}", url.expose());
    assert!(url.expose().contains("&X-Amz-Security-Token=role%2Ftoken%3D&"), "{}", url.expose());
    assert!(url.expires_at() <= clock() + HOUR, "cut to the credentials");
    let form = sts.next().await;
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("RoleArn", ROLE),
        ("ExternalId", EXTERNAL_ID),
        ("RoleSessionName", "mediagate-media"),
    ] {
        assert_eq!(form[name], value);
    }
    assert!(!form.contains_key("DurationSeconds"), "as long as the role's owner has it");
    assert_eq!(media.credentials_failure().await, None);
    for family in ["expiry", "obtained"] {
        let name = format!("mediagate_s3_credentials_{family}_timestamp_seconds");
        assert!(metric(&registry, &name, "media").is_some(), "{name}");
    }
}

#[tokio::test]
async fn without_the_right_external_id_nothing_is_signed() {
    for external_id in [None, Some("ticket-18"), Some("TICKET-17")] {
        let sts = Sts::start([]).await;
        let (media, registry) = connect(&sts, external_id).await;
        assert!(!media.credentials_ready());
        assert!(matches!(presign(&media, HOUR), Err(Error::CredentialsUnavailable)));
        let failure = media.credentials_failure().await.unwrap();
        assert_eq!(failure, CredentialsFailure::Denied);
        assert!(failure.to_string().contains("external_id"), "{failure}");
        assert_eq!(failures(&registry, "denied"), Some(1.0));
        assert_eq!(sts.waiting(), 1, "a refusal is not asked for again");
        assert!(metric(&registry, "mediagate_s3_credentials_expiry_timestamp_seconds", "media").is_none());
    }
}

#[tokio::test]
async fn a_throttled_role_is_granted_a_moment_later() {
    let throttle = Refuse(400, "Throttling");
    let sts = Sts::start([throttle, throttle]).await;
    let (media, registry) = connect(&sts, Some(EXTERNAL_ID)).await;
    presign(&media, HOUR).unwrap();
    assert_eq!((sts.waiting(), failures(&registry, "throttled")), (3, None));
}

#[tokio::test]
async fn why_a_role_was_not_granted() {
    for (answer, asked, want) in [
        (Refuse(400, "Throttling"), 3, CredentialsFailure::Throttled),
        (Refuse(403, "InvalidClientTokenId"), 1, CredentialsFailure::Denied),
        (Refuse(400, "ExpiredToken"), 1, CredentialsFailure::Denied),
        (Refuse(500, "InternalFailure"), 3, CredentialsFailure::Failed),
        (Silence, 3, CredentialsFailure::Silent),
        (Grant("ASIAROLE", Duration::ZERO), 1, CredentialsFailure::Expired),
        (Grant("ASIA ROLE", HOUR), 1, CredentialsFailure::Malformed),
    ] {
        let sts = Sts::start([answer; 3]).await;
        let (media, registry) = connect(&sts, Some(EXTERNAL_ID)).await;
        assert!(matches!(presign(&media, HOUR), Err(Error::CredentialsUnavailable)), "{answer:?}");
        assert_eq!(media.credentials_failure().await, Some(want), "{answer:?}");
        assert_eq!(sts.waiting(), asked, "{answer:?}");
        assert_eq!(failures(&registry, want.as_str()), Some(1.0), "{answer:?}");
    }
    let (media, registry) = connect_observed(with_role("http://127.0.0.1:1".to_owned(), None)).await;
    assert_eq!(media.credentials_failure().await, Some(CredentialsFailure::Unreachable));
    assert_eq!(failures(&registry, "unreachable"), Some(1.0));
}

#[tokio::test]
async fn a_role_that_ends_early_is_asked_for_ahead_of_its_end() {
    let early = |id| Grant(id, Duration::from_secs(4));
    let mut sts = Sts::start([early("ASIAONE"), Refuse(403, "AccessDenied"), early("ASIATWO")]).await;
    let (media, registry) = connect(&sts, Some(EXTERNAL_ID)).await;
    let url = presign(&media, HOUR).unwrap();
    assert!(url.expose().contains("ASIAONE") && url.expires_at() <= clock() + Duration::from_secs(4));
    sts.next().await;
    let stop = CancellationToken::new();
    let looking = async {
        // The refusal; the old ones serve on. Then the grant.
        sts.next().await;
        assert!(media.credentials_ready());
        sts.next().await;
        // The third answer is taken before the loop asks again, half way to its end.
        sts.next().await;
        stop.cancel();
    };
    tokio::join!(media.refresh_loop(stop.clone()), looking);
    let url = presign(&media, HOUR).unwrap();
    assert!(url.expose().contains("ASIATWO") || url.expose().contains("ASIAROLE"), "{}", url.expose());
    assert_eq!(failures(&registry, "denied"), Some(1.0));
}
