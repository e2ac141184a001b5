//! Credentials of a role, from a token service that the test plays.

use std::time::Duration;

use mediagate::{
    object::ObjectKey,
    s3::{ConnectionConfig, CredentialsConfig, Error, PresignMethod, PresignRequest, PresignedUrl},
};

use crate::support::{
    clock,
    s3::{ACCESS_KEY_ID, config, connect_observed},
    scripted::{
        Scripted,
        Step::{Head, Send},
        response,
    },
};

fn granted(access_key_id: &str, left: Duration) -> Vec<u8> {
    let end = humantime::format_rfc3339_seconds(clock() + left);
    let xml = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <AssumedRoleUser><AssumedRoleId>R:m</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/r/m</Arn>\
         </AssumedRoleUser><Credentials><AccessKeyId>{access_key_id}</AccessKeyId>\
         <SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role/token=</SessionToken>\
         <Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let len = xml.len().to_string();
    response("200 OK", &[("Content-Length", &len), ("Content-Type", "text/xml")], xml.as_bytes())
}

fn with_role(sts: &Scripted) -> ConnectionConfig {
    let mut config = config("http://127.0.0.1:1", "media");
    config.credentials = CredentialsConfig::AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
        external_id: Some("ticket-17".to_owned()),
        sts_endpoint: Some(sts.url()),
        base: Box::new(config.credentials),
    };
    config
}

async fn presigned(config: ConnectionConfig) -> Result<PresignedUrl, Error> {
    let (media, registry) = connect_observed(config).await;
    let now = clock();
    let request = PresignRequest {
        method: PresignMethod::Get,
        key: &ObjectKey::parse("a").unwrap(),
        ttl: Duration::from_hours(2),
        not_after: now + Duration::from_hours(2),
        content_type: None,
        content_disposition: None,
    };
    let url = media.presign(&request, now);
    assert_eq!(media.credentials_ready(), url.is_ok());
    let gauge = registry.gather().iter().any(|family| family.name().contains("credentials_expiry"));
    assert_eq!(gauge, url.is_ok());
    url
}

#[tokio::test]
async fn a_role_signs_with_its_token_and_to_its_end() {
    let answer = granted("ASIAROLE", Duration::from_hours(1));
    let sts = Scripted::start(vec![vec![Head, Send(answer)]]).await;
    let url = presigned(with_role(&sts)).await.unwrap();
    assert!(url.expose().contains("X-Amz-Credential=ASIAROLE%2F"), "{}", url.expose());
    assert!(url.expose().contains("&X-Amz-Security-Token=role%2Ftoken%3D&"), "{}", url.expose());
    assert!(url.expires_at() <= clock() + Duration::from_hours(1), "cut to the credentials");
    let (_, request) = sts.heads().pop().unwrap();
    for part in [
        "Action=AssumeRole",
        "ExternalId=ticket-17",
        "role%2Freader",
        "RoleSessionName=mediagate",
        ACCESS_KEY_ID,
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn without_the_role_nothing_is_signed() {
    let refusal =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let len = refusal.len().to_string();
    let refusal = response("403 Forbidden", &[("Content-Length", &len)], refusal.as_bytes());
    for answer in
        [refusal, granted("ASIAROLE", Duration::ZERO), granted("ASIA ROLE", Duration::from_hours(1))]
    {
        let sts = Scripted::start(vec![vec![Head, Send(answer)]]).await;
        assert!(matches!(presigned(with_role(&sts)).await, Err(Error::CredentialsUnavailable)));
    }
}
